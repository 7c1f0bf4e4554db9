"""The common main function of all commands and tools: flags, log messages, errors and signals.

A command imports this module before any module that imports TensorFlow, since this module sets the
environment of TensorFlow. Its own `main()`, which requires no arguments, calls `main`.
"""

import contextlib
import io
import logging as py_logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Callable, NoReturn, Optional

# Hide log messages of TensorFlow's runtime.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# ruff: noqa: E402
from absl import app, flags, logging

from avssl_tf import cluster, errors, local_paths, quiet_tensorflow, stops
from avssl_tf.foreign_text import printable

quiet_tensorflow.hide_notices()
# In --help, the flags belong to the module that calls `define_gin_flags`.
flags.disclaim_key_flags()

# gin appends the configurable function that raised an error. That of the command is removed.
_IN_COMMAND = re.compile(r"\n\s*In call to configurable '(train|evaluate)' \(<function .*")


def main(
  work: Callable[..., None],
  stopped: str,
  takes_arguments: bool = False,
  argv: Optional[list[str]] = None,
) -> NoReturn:
  """Parses the flags, runs a command, and ends the process.

  A `UserError`, or an exception that `errors.of_exception` converts to one, ends the process with
  its message only. Other exceptions show their traceback.

  Args:
    work: function of the command's module; `--help` shows the docstring and flags of that module.
    stopped: message after SIGTERM or Ctrl-C: the remaining outputs and how to resume.
    takes_arguments: whether `work` accepts a list of the positional arguments.
    argv: name of the program and its arguments; None: those of the process.
  """
  argv = sys.argv if argv is None else argv

  def run(words: list[str]) -> None:
    if words[1:] and not takes_arguments:
      raise app.UsageError(f"Unexpected arguments: {words[1:]}. Expected flags: --name=value.")
    with _plain_endings(stopped):
      _quiet_libraries()
      work(words[1:]) if takes_arguments else work()

  _describe(sys.modules[work.__module__], argv[0])
  app.run(run, argv)


def define_gin_flags() -> None:
  """Defines `--gin_file` and `--gin_param`, both repeatable."""
  local_paths.define_multi_flag(
    "gin_file", [], "Gin file; repeatable, later files override earlier ones."
  )
  flags.DEFINE_multi_string(
    "gin_param", [], "Gin binding such as num_epochs=2, applied after the files; repeatable."
  )


def hide_gpus() -> None:
  """Hides the GPUs from TensorFlow, for other commands; call before its first operation."""
  os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


@contextlib.contextmanager
def _plain_endings(stopped: str) -> Iterator[None]:
  """Ends the process with only a message on errors of users, and on SIGTERM or Ctrl-C.

  Args:
    stopped: see `main`.
  """
  # File names may contain bytes that are not valid text, and a terminal may support only ASCII.
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")
  with stops.handled():
    try:
      yield
    except KeyboardInterrupt as stop:
      stops.end(stop, stopped)
    except Exception as error:
      found = errors.of_exception(error)
      if found is None:
        raise
      _end(found)


def _end(error: errors.UserError) -> NoReturn:
  logging.debug("Raised here:", exc_info=True)
  message = local_paths.readable(_IN_COMMAND.sub("", str(error)))
  # File names may contain escape sequences of a terminal.
  message = "\n".join(map(printable, message.split("\n")))
  sys.exit(f"Error: {message}\n(--verbosity=1 shows the traceback.)")


def _quiet_libraries() -> None:
  """Shows only warnings of libraries, and all log messages of this package without a prefix.

  `--verbosity` on the command line disables this filter.
  """
  if flags.FLAGS["verbosity"].present:
    return
  # Of several workers, only the chief logs messages of this package.
  package = os.path.dirname(os.path.abspath(__file__))
  heard = package if cluster.is_chief() else None
  logging.get_absl_logger().addFilter(
    lambda record: record.levelno >= py_logging.WARNING
    or bool(heard and record.pathname.startswith(heard))
  )
  logging.get_absl_handler().setFormatter(py_logging.Formatter("%(message)s"))
  of_tensorflow = py_logging.getLogger("tensorflow")
  of_tensorflow.setLevel(py_logging.WARNING)
  # Keras compares the time of callbacks with the time to enqueue a step. A callback that waits for
  # the device is necessarily slower, and one must wait.
  of_tensorflow.addFilter(lambda record: "slow compared to the batch" not in str(record.msg))
  # If the logger has a separate handler, propagation would duplicate each message.
  of_tensorflow.propagate = not of_tensorflow.handlers


def _describe(module, program: str) -> None:
  """Makes `--help` show the docstring and flags of a module, whichever script runs it."""
  sys.modules["__main__"].__doc__ = module.__doc__
  for flag in flags.FLAGS.get_key_flags_for_module(module.__name__):
    flags.FLAGS.register_key_flag_for_module(program, flag)

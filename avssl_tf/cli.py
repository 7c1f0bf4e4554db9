"""The one main of all commands and tools: flags, messages of libraries, and how a command ends.

A command imports this module before anything that imports TensorFlow, whose environment is set
here. Its own `main()`, which needs no arguments, calls `main` of this module.
"""

import contextlib
import io
import logging as py_logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Callable, NoReturn, Optional

# TensorFlow's runtime is silent about what raises no exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# ruff: noqa: E402
from absl import app, flags, logging

from avssl_tf import cluster, errors, local_paths, stops
from avssl_tf.foreign_text import printable

# Flags are those of the module that calls `define_gin_flags`, for --help.
flags.disclaim_key_flags()

# gin adds to each message in which function it was raised. That of the command itself goes without
# saying.
_IN_COMMAND = re.compile(r"\n\s*In call to configurable '(train|evaluate)' \(<function .*")


def main(
  work: Callable[..., None],
  stopped: str,
  takes_arguments: bool = False,
  argv: Optional[list[str]] = None,
) -> NoReturn:
  """Reads the flags, does the work of a command, and ends the process.

  Only a `UserError`, and what `errors.of_exception` makes one of, ends it with a message alone;
  other exceptions show their traceback.

  Args:
    work: function of the module of the command, whose docstring and flags `--help` shows.
    stopped: what SIGTERM or Ctrl-C leaves and what to do next, for the user.
    takes_arguments: whether `work` takes a list of the arguments that are no flags.
    argv: name of the program and its arguments; None: those of the process.
  """
  argv = sys.argv if argv is None else argv

  def run(words: list[str]) -> None:
    if words[1:] and not takes_arguments:
      raise app.UsageError(f"Unexpected arguments: {words[1:]}. Flags are written --name=value.")
    with _plain_endings(stopped):
      _quiet_libraries()
      work(words[1:]) if takes_arguments else work()

  _describe(sys.modules[work.__module__], argv[0])
  app.run(run, argv)


def define_gin_flags() -> None:
  """Defines `--gin_file` and `--gin_param`, both repeatable."""
  local_paths.define_multi_flag("gin_file", [], "Gin file; several compose, later ones win.")
  flags.DEFINE_multi_string(
    "gin_param", [], "Gin binding such as num_epochs=2, applied after the files."
  )


def hide_gpus() -> None:
  """Keeps TensorFlow off the GPUs, which another command may use; before its first operation."""
  os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


@contextlib.contextmanager
def _plain_endings(stopped: str) -> Iterator[None]:
  """Ends the process with a message alone: at errors of users, and at SIGTERM or Ctrl-C.

  Args:
    stopped: see `main`.
  """
  # Names of files may hold bytes that are no text, and terminals may know ASCII alone.
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
  # Names of files may hold commands of a terminal.
  message = "\n".join(map(printable, message.split("\n")))
  sys.exit(f"Error: {message}\n(--verbosity=1 shows where this was raised.)")


def _quiet_libraries() -> None:
  """Lets only warnings of libraries through, and everything of this package without a prefix.

  `--verbosity` on the command line asks for all of it.
  """
  if flags.FLAGS["verbosity"].present:
    return
  # What all workers would say, the chief says.
  package = os.path.dirname(os.path.abspath(__file__))
  heard = package if cluster.is_chief() else None
  logging.get_absl_logger().addFilter(
    lambda record: record.levelno >= py_logging.WARNING
    or bool(heard and record.pathname.startswith(heard))
  )
  logging.get_absl_handler().setFormatter(py_logging.Formatter("%(message)s"))
  of_tensorflow = py_logging.getLogger("tensorflow")
  of_tensorflow.setLevel(py_logging.WARNING)
  # Keras compares callbacks with the time to enqueue a step: whichever waits for the device has to
  # be slow, and one has to.
  of_tensorflow.addFilter(lambda record: "slow compared to the batch" not in str(record.msg))
  # With a handler of its own, each message would come twice.
  of_tensorflow.propagate = not of_tensorflow.handlers


def _describe(module, program: str) -> None:
  """Lets `--help` show the docstring and flags of a module, whichever script runs it."""
  sys.modules["__main__"].__doc__ = module.__doc__
  for flag in flags.FLAGS.get_key_flags_for_module(module.__name__):
    flags.FLAGS.register_key_flag_for_module(program, flag)

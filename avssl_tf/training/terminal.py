"""What commands let through to the terminal, and how they end when something is wrong."""

import contextlib
import errno
import io
import logging as py_logging
import os
import re
import sys
from collections.abc import Iterator

import tensorflow as tf
from absl import flags, logging

from avssl_tf import local_paths, stops
from avssl_tf.data.building.work_folder import BuildError
from avssl_tf.data.building.workers import WorkerError
from avssl_tf.foreign_text import printable
from avssl_tf.training import strategies

# These say all there is to say; a traceback would bury it.
PLAIN_ERRORS = (
  ValueError,
  OSError,
  BuildError,
  WorkerError,
  FloatingPointError,
  strategies.ChiefError,
  tf.errors.DataLossError,
  tf.errors.InvalidArgumentError,
  tf.errors.ResourceExhaustedError,
)
# TensorFlow has a class of its own for each, most of which stand for other things as well.
_FILE_ERRORS = (
  errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS,
  errno.ESTALE,
)  # fmt: skip


def quiet_libraries() -> None:
  """Lets only warnings of libraries through, and everything of this package without a prefix.

  `--verbosity` on the command line asks for all of it.
  """
  if flags.FLAGS["verbosity"].present:
    return
  # What all workers would say, the chief says.
  package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  heard = package if strategies.is_chief() else None
  logging.get_absl_logger().addFilter(
    lambda record: record.levelno >= py_logging.WARNING
    or bool(heard and record.pathname.startswith(heard))
  )
  logging.get_absl_handler().setFormatter(py_logging.Formatter("%(message)s"))
  tf.get_logger().setLevel(py_logging.WARNING)
  # Keras compares callbacks with the time to enqueue a step: whichever waits for the device has to
  # be slow, and one has to.
  tf.get_logger().addFilter(lambda record: "slow compared to the batch" not in str(record.msg))
  # It has a handler of its own: each message would come twice.
  tf.get_logger().propagate = False


@contextlib.contextmanager
def plain_endings(configurable: str, stopped: str) -> Iterator[None]:
  """Ends the command with a message alone: at `PLAIN_ERRORS`, and at SIGTERM or Ctrl-C.

  Args:
    configurable: see `end_with`.
    stopped: what a signal leaves and what to do next, for the user.
  """
  # Names of files may hold bytes that are no text, and terminals may know ASCII alone.
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")
  with stops.handled():
    try:
      yield
    except PLAIN_ERRORS as error:
      end_with(error, configurable)
    except tf.errors.OpError as error:
      if not _is_of_a_file(error):
        raise
      end_with(error, configurable)
    except KeyboardInterrupt as stop:
      stops.end(stop, stopped)


def _is_of_a_file(error: tf.errors.OpError) -> bool:
  """Whether TensorFlow could not read or write a file, which its message then names."""
  return any(f"; {os.strerror(number)}" in str(error) for number in _FILE_ERRORS)


def end_with(error: BaseException, configurable: str) -> None:
  """Ends the command with the message of one of `PLAIN_ERRORS`, and status 1.

  Args:
    error: what was raised.
    configurable: name of the function that gin called for the command; gin adds it to messages,
      where it goes without saying.
  """
  logging.debug("Raised here:", exc_info=True)
  message = re.sub(rf"\n\s*In call to configurable '{configurable}'.*", "", str(error))
  # What TensorFlow adds says nothing of the user's files.
  message = re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\]", "", message)
  message = local_paths.readable(message)
  # Names of files may hold commands of a terminal.
  message = "\n".join(map(printable, message.split("\n")))
  sys.exit(f"Error: {message}\n(--verbosity=1 shows where this was raised.)")

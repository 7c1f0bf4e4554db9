"""A process that has imported the libraries and the package, and forks one that runs a command.

Imports take seconds, most of the time of many commands in tests. The commands themselves and
modules that define flags are imported after the fork, and TensorFlow uses no device: a command
runs as in a new interpreter. Requests are read from standard input, one JSON line each, and
the exit status is written to standard output.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import sys
import traceback

_LIBRARIES = (
  "absl.app", "av", "cv2", "gin", "librosa", "matplotlib.figure", "numpy", "ot",
  "plotly.graph_objects", "scipy.signal", "sklearn.svm", "soundfile",
  "tensorboard.plugins.projector", "tensorflow", "tqdm",
)  # fmt: skip


def main() -> None:
  """Answers requests until standard input ends."""
  for name in (*_LIBRARIES, *_package_modules()):
    importlib.import_module(name)
  # Else each fork looks through all objects of the libraries as it ends, which takes seconds.
  gc.collect()
  gc.freeze()
  while line := sys.stdin.readline():
    request = json.loads(line)
    child = os.fork()
    if not child:
      sys.exit(_run(request))
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)


def _package_modules() -> list[str]:
  """Modules in the sub-packages; those of the package itself are commands or define flags."""
  import avssl_tf

  found = (module.name for module in pkgutil.walk_packages(avssl_tf.__path__, "avssl_tf."))
  return [name for name in found if name.count(".") > 1 and not name.endswith(".__main__")]


def _run(request: dict) -> int:
  """Runs a command in this forked process; returns its exit status."""
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
  os.environ.clear()
  os.environ.update(request["environment"])
  os.chdir(request["folder"])
  for target, path, mode in ((0, os.devnull, os.O_RDONLY), (1, request["stdout"], os.O_WRONLY),
                             (2, request["stderr"], os.O_WRONLY)):  # fmt: skip
    descriptor = os.open(path, mode)
    os.dup2(descriptor, target)
    os.close(descriptor)
  # As `python -m MODULE` and `python SCRIPT` set it.
  first, *arguments = request["arguments"]
  try:
    if first == "-m":
      sys.path[0] = request["folder"]
      sys.argv = arguments
      runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
      sys.path[0] = os.path.dirname(os.path.abspath(first))
      sys.argv = [first, *arguments]
      runpy.run_path(first, run_name="__main__")
  except SystemExit as end:
    if isinstance(end.code, str):
      print(end.code, file=sys.stderr)
      return 1
    return end.code or 0
  except BaseException:
    traceback.print_exc()
    return 1
  finally:
    sys.stdout.flush()
  return 0


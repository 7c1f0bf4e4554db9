"""Runs the commands of the project like a user."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import threading

from tests import source_tree

_lock = threading.Lock()


def run_python(*arguments: str, folder: str = source_tree.ROOT) -> subprocess.CompletedProcess:
  """Runs Python with `arguments`, without GPUs; captures its output.

  Commands and tools are forked from a process that has imported the libraries (`command_server`).

  Args:
    *arguments: of Python.
    folder: working folder, by default the root of the repository.
  """
  environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
  if arguments[0] == "-m" or arguments[0].endswith(".py"):
    return _forked(arguments, environment, folder)
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=folder,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )


def _forked(arguments, environment, working_folder) -> subprocess.CompletedProcess:
  request = {
    "arguments": [os.fspath(argument) for argument in arguments],
    "environment": environment,
    "folder": os.fspath(working_folder),
  }
  with tempfile.TemporaryDirectory() as folder, _lock:
    for name in ("stdout", "stderr"):
      request[name] = os.path.join(folder, name)
      with open(request[name], "wb"):
        pass
    server = _server()
    server.stdin.write(f"{json.dumps(request)}\n")
    server.stdin.flush()
    status = int(server.stdout.readline())
    printed = []
    for name in ("stdout", "stderr"):
      with open(request[name], encoding="utf-8", newline="") as f:
        printed.append(f.read().replace("\r\n", "\n").replace("\r", "\n"))
  return subprocess.CompletedProcess([sys.executable, *arguments], status, *printed)


@functools.cache
def _server() -> subprocess.Popen:
  # It ends when its standard input does, with this process.
  return subprocess.Popen(
    [sys.executable, "-c", "from tests import command_server; command_server.main()"],
    cwd=source_tree.ROOT,
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )


def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
  """Runs `tools/<name>.py` in the same way."""
  return run_python(os.path.join("tools", f"{name}.py"), *arguments)


def output_of(*arguments: str, folder: str = source_tree.ROOT) -> str:
  """The output of Python with `arguments`; raises an AssertionError if it fails."""
  result = run_python(*arguments, folder=folder)
  if result.returncode:
    raise AssertionError(f"{arguments} ended with {result.returncode}:\n{result.stderr[-4000:]}")
  return result.stdout

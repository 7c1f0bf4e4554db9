"""Running the project's commands as a user does."""

import os
import subprocess
import sys

from tests import source_tree


def run_python(*arguments: str) -> subprocess.CompletedProcess:
  """Runs Python with `arguments` in the repository's root, without GPUs; keeps what it prints."""
  return subprocess.run(
    [sys.executable, *arguments],
    cwd=source_tree.ROOT,
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
    capture_output=True,
    text=True,
    check=False,
  )


def run_tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
  """Runs `tools/<name>.py`, likewise."""
  return run_python(os.path.join("tools", f"{name}.py"), *arguments)


def output_of(*arguments: str) -> str:
  """What Python prints with `arguments`, likewise; an AssertionError where that fails."""
  result = run_python(*arguments)
  if result.returncode:
    raise AssertionError(f"{arguments} ended with {result.returncode}:\n{result.stderr[-4000:]}")
  return result.stdout

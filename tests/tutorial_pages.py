"""Executes the pages of docs/tutorials in a folder, as a reader does, at small size."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Sequence

import gin
import tensorflow as tf

from avssl_tf.training import strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import command, source_tree

_FENCED = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_PYTHON = ".venv/bin/python"
# Their flags are checked, and tests/comparison runs them: each of their runs is a whole process.
_ONLY_CHECKED = ("tools/compare_seeds.py",)
_LINKED = ("Makefile", "avssl_tf", "gin", "requirements.txt", "tools")


def make_checkout(folder: str) -> None:
  """Makes `folder` look like a checkout in which nothing has been run."""
  for name in _LINKED:
    os.symlink(source_tree.ROOT / name, os.path.join(folder, name))


class Tutorial:
  """A page with smaller sizes, in a folder.

  Attributes:
    names: the variables of the Python blocks executed so far.
  """

  def __init__(
    self,
    page: str,
    folder: str,
    smaller: Sequence[tuple[str, str]],
    only_training: Collection[str] = (),
  ):
    """Reads the page.

    Args:
      page: name of the page, without extension.
      folder: a checkout, see `make_checkout`.
      smaller: texts of the page and of make's commands, and their replacements.
      only_training: values of --model_dir of the train commands that are executed up to the end of
        the training, without the export and the report, which take most of the time.
    """
    path = source_tree.ROOT / "docs" / "tutorials" / f"{page}.md"
    self.names = {"__name__": page}
    self._folder = folder
    self._smaller = smaller
    self._only_training = only_training
    self._done: set[tuple[str, ...]] = set()
    self._page = path.read_text(encoding="utf-8")

  def run(self) -> None:
    """Executes all blocks in their order; each command once.

    Raises:
      AssertionError: a text to be replaced is not on the page, or a command failed.
    """
    missing = [text for text, _ in self._smaller if text not in self._page]
    assert not missing, f"not on the page: {missing}"
    for language, title, content in _FENCED.findall(self._replaced(self._page)):
      if title:
        with open(os.path.join(self._folder, title), "w", encoding="utf-8") as f:
          f.write(content)
      elif language == "python":
        self._execute(content)
      elif language in ("bash", "console"):
        lines = re.sub(r"^\$ ", "", content, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
        for words in filter(None, (shlex.split(line, comments=True) for line in lines)):
          self._run(words)

  def _replaced(self, text: str) -> str:
    for old, new in self._smaller:
      text = text.replace(old, new)
    return text

  def _execute(self, code: str) -> None:
    with self._inside():
      exec(compile(code, "page.md", "exec"), self.names)

  @contextlib.contextmanager
  def _inside(self):
    """The folder as working folder and as the first one of imports."""
    before = os.getcwd()
    os.chdir(self._folder)
    sys.path.insert(0, self._folder)
    try:
      yield
    finally:
      sys.path.remove(self._folder)
      os.chdir(before)

  def _run(self, words: list[str]) -> None:
    if tuple(words) in self._done:
      return
    self._done.add(tuple(words))
    program, *arguments = words
    if program == "make":
      for line in self._made(arguments):
        self._run(shlex.split(self._replaced(line)))
    elif program == ".venv/bin/tensorboard":
      assert arguments == ["--logdir=runs"], arguments  # A server: `event_files` reads the curves.
    elif program == ".venv/bin/saved_model_cli":
      module = "tensorflow.python.tools.saved_model_cli"
      command.output_of("-m", module, *arguments, folder=self._folder)
    else:
      assert program == _PYTHON, words
      self._run_python(arguments)

  def _made(self, targets: Sequence[str]) -> list[str]:
    """The commands of make that run Python."""
    # The arguments of the `make` that runs these tests are not for these targets.
    environment = {k: v for k, v in os.environ.items() if k not in ("ARGS", "MAKEFLAGS")}
    result = subprocess.run(
      ["make", "-n", *targets, "ARGS="],
      cwd=self._folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in result.stdout.splitlines() if line.startswith(_PYTHON)]

  def _run_python(self, arguments: Sequence[str]) -> None:
    if arguments[0] in _ONLY_CHECKED:
      command.output_of(*arguments, "--only_check_args", folder=self._folder)
      return
    values = {}
    for argument in arguments:
      name, _, value = argument.partition("=")
      values.setdefault(name, []).append(value)
    (model_dir,) = values.get("--model_dir", [""])
    if list(arguments[:2]) != ["-m", "avssl_tf.train"] or model_dir not in self._only_training:
      command.output_of(*arguments, folder=self._folder)
      return
    assert set(values) <= {"-m", "avssl_tf.train", "--gin_file", "--gin_param", "--model_dir"}
    with self._inside():
      try:
        configuration.parse(values["--gin_file"], values.get("--gin_param", []))
        configuration.check_complete(trainer.train)
        os.makedirs(model_dir)
        trainer.train(model_dir=model_dir, strategy=strategies.create(0))
      finally:
        gin.clear_config()
        tf.keras.mixed_precision.set_global_policy("float32")

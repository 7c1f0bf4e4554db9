"""Applies the worked examples of docs/contributing.md to a copy of the package, and runs them."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from absl.testing import absltest

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation import results
from tests import layering_test, media_variants, source_tree, tiny_run

_PAGE = (source_tree.ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
_FLAGS = re.MULTILINE | re.DOTALL
_NEW_FILE = re.compile(r"^New file `([\w.]+)` in `([\w/]+/)`:\n\n```\w+\n(.*?)^```$", _FLAGS)
_CHANGE = re.compile(r"^Change `([\w/.]+)`:\n\n```diff\n(.*?)^```$", _FLAGS)
_COPIED = ("avssl_tf", "gin", "tests", "tools")


def _apply(root: pathlib.Path) -> list[str]:
  """Writes the new files of the page and applies its changes; returns the new Python files."""
  written = []
  for name, folder, content in _NEW_FILE.findall(_PAGE):
    path = root / folder / name
    if path.exists():
      raise AssertionError(f"{folder}{name} of docs/contributing.md is not new.")
    path.write_text(content, encoding="utf-8")
    written.append(f"{folder}{name}")
  for name, change in _CHANGE.findall(_PAGE):
    path, lines = root / name, change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] != "+")
    new = "".join(line[1:] for line in lines if line[0] != "-")
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
      raise AssertionError(f"{name} does not contain these lines once:\n{old}")
    path.write_text(text.replace(old, new), encoding="utf-8")
  return [name for name in written if name.endswith(".py")]


class ContributingTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.root = pathlib.Path(folder.name)
    for name in _COPIED:
      shutil.copytree(
        source_tree.ROOT / name, cls.root / name, ignore=shutil.ignore_patterns("__pycache__")
      )
    for name in ("BUILD", "pyproject.toml"):
      shutil.copy(source_tree.ROOT / name, cls.root)
    cls.new_files = _apply(cls.root)

  def _run(self, *arguments):
    """Runs Python in the copy; returns its output."""
    environment = {
      **os.environ,
      "CUDA_VISIBLE_DEVICES": "-1",
      "PYTHONPATH": str(self.root),
      "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    result = subprocess.run(
      [sys.executable, *arguments],
      cwd=self.root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = result.stdout[-4000:] + result.stderr[-4000:]
    self.assertEqual(result.returncode, 0, f"{arguments}\n{output}")
    return result.stdout

  def test_the_page_has_three_examples(self):
    self.assertLen(_NEW_FILE.findall(_PAGE), 9)
    self.assertLen(_CHANGE.findall(_PAGE), 7)
    applied = len(re.findall(r"^```(?:python|diff|gin)$", _PAGE, re.MULTILINE))
    self.assertEqual(applied, 16, "A block of the page is applied nowhere.")

  def test_new_files_follow_the_rules(self):
    self._run("-m", "ruff", "check", "--no-cache", ".")
    tests = [name for name in self.new_files if name.endswith("_test.py")]
    rules = ["layering_test.py", "build_file_test.py", "face_test.py"]
    self._run(
      "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests,
      *(os.path.join("tests", name) for name in rules),
    )  # fmt: skip

  def test_method_trains_and_protocol_measures(self):
    data_dir = tiny_run.make_data(str(self.root / "data"))
    sizes = [line for line in tiny_run.GIN.strip().split("\n") if not line.startswith("AVID.")]
    self._run(
      "-m", "avssl_tf.train", "--gin_file=./gin/batch_contrast.gin", "--model_dir=run",
      f"--gin_param=data_dir = '{data_dir}'", "--gin_param=Probe.c_grid = (0.1,)",
      *(f"--gin_param={line}" for line in sizes),
    )  # fmt: skip
    self.assertTrue((self.root / "run" / "report.html").exists())
    printed = self._run(
      "-m", "avssl_tf.evaluate", "--task=modality_gap", "--model_dir=run",
      "--gin_param=batch_size = 4",
    )  # fmt: skip
    self.assertRegex(printed, r"\ngap_distance +\d")
    _, parts = results.read(str(self.root / "run/evaluation/modality_gap/results.json"))
    self.assertBetween(parts["test"]["gap_distance"], 0, 2)

  def test_data_set_is_built(self):
    frames = list(media_variants.pictures_at(media_variants.regular_times(8, end_sec=3.0)))
    for name in ("robin/1", "wren/1", "wren/2"):
      path = self.root / "birds" / "videos" / f"{name}.mp4"
      path.parent.mkdir(parents=True, exist_ok=True)
      media_variants.write_media(str(path), frames, media_variants.sine(3.0))
    (self.root / "birds" / "train.txt").write_text("robin/1.mp4 robin\nwren/1.mp4 wren\n")
    (self.root / "birds" / "test.txt").write_text("wren/2.mp4 wren\n")
    self._run(
      "tools/make_tfrecords.py", "--source=birds", "--input_dir=birds",
      "--output_dir=data/birds", "--short_side=32", "--num_workers=0",
    )  # fmt: skip
    info = DatasetInfo.load(str(self.root / "data" / "birds"))
    self.assertEqual(info.label_names, ["robin", "wren"])
    self.assertEqual(info.num_clips("train"), 2)
    self.assertEqual(info.records("test").labels.tolist(), [1])


class LayersTest(absltest.TestCase):

  def test_layout_is_that_of_the_package(self):
    layout = re.search(r"^```text\navssl_tf/(.*?)^```$", _PAGE, _FLAGS).group(1)
    listed = set(re.findall(r"\b\w+(?:\.py|/)", layout))
    package = source_tree.ROOT / "avssl_tf"
    existing = {path.split("/")[1] for path in source_tree.python_files("avssl_tf")}
    existing = {name + "/" * (package / name).is_dir() for name in existing} - {"__init__.py"}
    subfolders = {f"{path.name}/" for path in (package / "data").iterdir() if path.is_dir()}
    others = {"gin/", "tools/", "tests/", "docs/"} | (subfolders - {"__pycache__/"})
    self.assertEqual(listed, existing | others)

  def test_table_is_that_of_the_layering_test(self):
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", _PAGE, re.MULTILINE)
    groups = [sorted(re.sub("[`/ ]", "", cell).split(",")) for _, cell in rows]
    self.assertEqual(groups, [sorted(layer) for layer in layering_test.LAYERS])


if __name__ == "__main__":
  absltest.main()

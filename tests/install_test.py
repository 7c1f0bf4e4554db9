"""Tests of the installed package: a wheel of the checkout, used from another folder."""

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile

from absl.testing import absltest

from tests import source_tree, tiny_run

_NOT_SOURCES = shutil.ignore_patterns("__pycache__")


def _tree(folder):
  """Files of the checkout in a folder, except those of the interpreter."""
  paths = (source_tree.ROOT / folder).rglob("*")
  return {path.relative_to(source_tree.ROOT) for path in paths if "__pycache__" not in path.parts}


class InstallTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.folder = os.path.join(folder.name, "elsewhere")
    os.mkdir(cls.folder)
    # Building leaves files in the folder of the sources.
    sources = os.path.join(folder.name, "sources")
    os.mkdir(sources)
    for name in ("avssl_tf", "gin"):
      shutil.copytree(source_tree.ROOT / name, os.path.join(sources, name), ignore=_NOT_SOURCES)
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
      shutil.copy(source_tree.ROOT / name, sources)
    cls._check(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
               "--wheel-dir", folder.name, sources)  # fmt: skip
    (wheel,) = (name for name in os.listdir(folder.name) if name.endswith(".whl"))
    cls.wheel = os.path.join(folder.name, wheel)
    # A separate environment with access to the libraries of this one.
    environment = os.path.join(folder.name, "environment")
    venv.create(environment, with_pip=False)
    cls.bin = os.path.join(environment, "bin")
    cls._check(sys.executable, "-m", "pip", "--python", os.path.join(cls.bin, "python"), "install",
               "--no-deps", "--no-index", cls.wheel)  # fmt: skip
    site = cls._check(
      os.path.join(cls.bin, "python"),
      "-c",
      "import sysconfig; print(sysconfig.get_path('purelib'))",
    ).strip()
    with open(os.path.join(site, "libraries.pth"), "w", encoding="utf-8") as f:
      f.write(sysconfig.get_path("purelib"))

  @classmethod
  def _check(cls, *command):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["CUDA_VISIBLE_DEVICES"] = "-1"
    result = subprocess.run(
      command, cwd=cls.folder, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
      raise AssertionError(f"{command}: {result.stdout[-2000:]}{result.stderr[-4000:]}")
    return result.stdout

  def command(self, name, *arguments):
    return self._check(os.path.join(self.bin, name), *arguments)

  def test_the_wheel_holds_all(self):
    with zipfile.ZipFile(self.wheel) as f:
      found = {name for name in f.namelist() if ".dist-info/" not in name}
    expected = {path.as_posix() for path in _tree("avssl_tf") if path.suffix}
    expected |= {f"avssl_tf/shipped/{path.as_posix()}" for path in _tree("gin") if path.suffix}
    self.assertEqual(found, expected)

  def test_every_command_is_there(self):
    with zipfile.ZipFile(self.wheel) as f:
      (path,) = (name for name in f.namelist() if name.endswith("/entry_points.txt"))
      entries = configparser.ConfigParser()
      entries.read_string(f.read(path).decode())
    scripts = dict(entries["console_scripts"])
    commands = {"train", "evaluate", "apply", "export", "report", "make-tfrecords"}
    self.assertEqual(set(scripts), {f"avssl-{name}" for name in commands})
    for name in ("avssl-apply", "avssl-report"):  # The others are run below.
      with self.subTest(name):
        self.assertIn("avssl_tf", self._help(name))

  def _help(self, name):
    # `--help` ends with status 1, as everywhere in absl.
    result = subprocess.run(
      [os.path.join(self.bin, name), "--help"], cwd=self.folder, capture_output=True, text=True,
      check=False,
    )  # fmt: skip
    self.assertEqual(result.returncode, 1, result.stderr)
    return result.stdout

  def test_from_data_to_an_encoder(self):
    self.command(
      "avssl-make-tfrecords", "--source=demo", "--output_dir=data", "--num_workers=0",
      "--gin_param=PlanarWorld.num_train=24", "--gin_param=PlanarWorld.num_test=16",
    )  # fmt: skip
    bindings = [f"--gin_param={line}" for line in tiny_run.GIN.strip().split("\n")]
    self.command(
      "avssl-train", "--gin_file=gin/avid.gin", "--gin_param=data_dir='data'",
      "--gin_param=num_epochs=1", "--gin_param=Probe.c_grid=(0.1,)", *bindings,
    )  # fmt: skip
    self.assertTrue(os.path.exists(os.path.join(self.folder, "runs/avid/report.html")))
    self.command("avssl-export", "--model_dir=runs/avid", "--output_dir=exported")
    self.command("avssl-evaluate", "--task=knn", "--model_dir=runs/avid")
    program = (
      "import avssl_tf; trained = avssl_tf.load('runs/avid');"
      "print(avssl_tf.__file__, trained.encoder.clip.frame_size, avssl_tf.load('exported').weights)"
    )
    printed = self.command("python", "-c", program)
    self.assertNotIn(os.fspath(source_tree.ROOT), printed)
    self.assertIn(" 16 ", printed)


if __name__ == "__main__":
  absltest.main()

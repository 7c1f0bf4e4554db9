"""Tests of commands on a full disk: a message with the path, no traceback, no partial files."""

import os
import unittest

from tests import command, media_variants, source_tree, tiny_run

# Limits the size of each file: writing beyond it fails as on a full disk.
_LIMITED = """
import resource, signal, runpy, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class FullDiskTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.model_dir = os.path.join(os.path.dirname(cls.data_dir), "run")
    cls.tiny = os.path.join(os.path.dirname(cls.data_dir), "tiny.gin")
    with open(cls.tiny, "w", encoding="utf-8") as f:
      f.write(f'{tiny_run.GIN}\ndata_dir = "{cls.data_dir}"\ntrain.probe = None\nnum_epochs = 1\n')
    cls.training = (
      "avssl_tf.train", f"--gin_file={source_tree.ROOT}/gin/avid.gin", f"--gin_file={cls.tiny}",
    )  # fmt: skip
    command.output_of("-m", *cls.training, f"--model_dir={cls.model_dir}")

  def run_limited(self, limit_bytes, *arguments):
    process = command.run_python("-c", _LIMITED, str(limit_bytes), *arguments)
    self.assertEqual(process.returncode, 1, process.stderr)
    self.assertNotIn("Traceback", process.stderr)
    self.assertRegex(process.stderr, r"Error: .*(File too large|No space left)")
    return process.stderr

  def files(self):
    return [name for _, _, names in os.walk(self.folder) for name in names]

  def test_train(self):
    errors = self.run_limited(20_000, *self.training, f"--model_dir={self.path('run')}")
    self.assertIn(self.path("run/checkpoints/ckpt-0"), errors)
    self.assertNotIn("function_node", errors)
    found = {name for name in self.files() if "events" not in name}
    self.assertEqual(found, {"operative_config.gin", "video_ids.txt"})

  def test_export(self):
    errors = self.run_limited(
      100_000, "avssl_tf.export", f"--model_dir={self.model_dir}",
      f"--output_dir={self.path('exported')}",
    )  # fmt: skip
    self.assertIn(self.folder, errors)
    self.assertEqual(os.listdir(self.folder), [])

  def test_embed(self):
    errors = self.run_limited(
      1_000, "avssl_tf.apply", "embed", f"--model_dir={self.model_dir}",
      f"--input={media_variants.SOURCE}", f"--output={self.path('e.npz')}",
    )  # fmt: skip
    self.assertIn(self.path("e.npz.parts"), errors)
    self.assertNotIn(".npz.tmp", "".join(self.files()))
    self.assertFalse(os.path.exists(self.path("e.npz")))

  def test_report(self):
    report = os.path.join(self.model_dir, "report.html")
    with open(report, encoding="utf-8") as f:
      before = f.read()
    self.assertIn(report, self.run_limited(1_000, "avssl_tf.report", self.model_dir))
    with open(report, encoding="utf-8") as f:
      self.assertEqual(f.read(), before)

  def test_evaluate(self):
    errors = self.run_limited(
      10, "avssl_tf.evaluate", "--task=knn", f"--model_dir={self.model_dir}",
      f"--output_dir={self.path('knn')}", "--gin_param=batch_size=8",
    )  # fmt: skip
    self.assertIn(self.path("knn/results.json"), errors)
    self.assertEqual(self.files(), [])


if __name__ == "__main__":
  unittest.main()

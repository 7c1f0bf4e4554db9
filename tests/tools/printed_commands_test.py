"""Tests that the commands which a build prints work, on data of each kind of source."""

import json
import os
import re
import shlex
import tempfile

from absl.testing import absltest

from avssl_tf.evaluation import audio_svm, finetune, protocol
from avssl_tf.training import configuration, metrics, trainer
from tests import command, media_variants, source_tree
from tests.data.sources import source_case

# Prints what each source proposes, between lines that name it.
_PRINT = """
import sys
sys.path.insert(0, "tools")
import make_tfrecords as tool
from avssl_tf.training import configuration

configuration.define_flags()
tool.FLAGS(["make_tfrecords", "--source=demo"])
for source in [*tool.SOURCES, *tool.DEMOS]:
  for projection in ("flat", "equirectangular"):
    tool.FLAGS.source, tool.FLAGS.projection = source, projection
    print("SOURCE", source, projection)
    tool.print_next_steps("data/it's mine")
"""
# What gin files of evaluations name.
_REGISTERED = (audio_svm, finetune)
# Networks and steps as small as they get.
_TINY = (
  "batch_size=2", "num_epochs=1", "train.clips_per_video=1", "train.batch_pictures=0",
  "ClipSpec.num_frames=2", "ClipSpec.frame_size=16", "R2Plus1D.stage_widths=(4, 4, 4, 4)",
  "AudioNet.stage_widths=(4, 4, 4, 4)", "MLPHead.widths=(8, 4)", "AVID.num_negatives=2",
  "Probe.c_grid=(0.1,)",
)  # fmt: skip


def _commands(printed: str) -> dict[str, list[str]]:
  """The words of each command that is proposed in a text, by what it is for."""
  found = re.findall(r"^(Look at it|Train|Evaluate): +python (.*)$", printed, re.MULTILINE)
  return {name: shlex.split(words) for name, words in found}


def _values(words, flag):
  return [word.partition("=")[2] for word in words if word.startswith(f"--{flag}=")]


class PrintedCommandsTest(absltest.TestCase):

  def test_each_source_proposes_what_can_be_read(self):
    parts = re.split(r"^SOURCE (.*)\n", command.output_of("-c", _PRINT), flags=re.MULTILINE)[1:]
    sources = dict(zip(parts[::2], parts[1::2]))
    self.assertLen(sources, 2 * 15)
    for source, printed in sources.items():
      with self.subTest(source):
        commands = _commands(printed)
        self.assertLen(commands, 2, printed)
        look = commands["Look at it"]
        self.assertTrue((source_tree.ROOT / look[0]).is_file())
        self.assertEqual(_values(look, "data_dir"), ["data/it's mine"])
        if "Train" in commands:
          words = commands["Train"]
          self.assertEqual(words[:2], ["-m", "avssl_tf.train"])
          configuration.parse(_values(words, "gin_file"), _values(words, "gin_param"))
          configuration.check_complete(trainer.train)
          self.assertIn('data_dir="data/it\'s mine"', _values(words, "gin_param"))
        else:
          words = commands["Evaluate"]
          (task,) = _values(words, "task")
          configuration.parse([f"gin/evaluate/{task}.gin"], [])
          configuration.check_complete(protocol.evaluate)
          self.assertEqual(_values(words, "data_dir"), ["data/it's mine"])

  def test_kinetics_without_a_test_list_is_trained_on(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    folder = temporary.name
    root, output = os.path.join(folder, "kinetics"), os.path.join(folder, "data")
    number = 0
    for split, count in (("train", 4), ("val", 2)):
      lines = "label,youtube_id,time_start,time_end,split\n"
      for n in range(count):
        video, number = f"video-{number:05d}", number + 1
        lines += f"{('zumba', 'yoga')[n % 2]},{video},0,10,{split}\n"
        path = os.path.join(root, split, ("zumba", "yoga")[n % 2], f"{video}_000000_000010.mp4")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        times = media_variants.regular_times(8, end_sec=2.5)
        media_variants.write_media(
          path, media_variants.pictures_at(times), media_variants.sine(2.5)
        )
      source_case.write_files(root, {f"annotations/{split}.csv": lines})
    built = command.run_tool(
      "make_tfrecords", "--source=kinetics", f"--input_dir={root}", f"--output_dir={output}",
      "--short_side=32", "--num_workers=0",
    )  # fmt: skip
    self.assertEqual(built.returncode, 0, built.stderr)
    self.assertIn("no test split: the probe of a run measures 'validation'", built.stdout)
    words = [w for w in _commands(built.stdout)["Train"] if not w.startswith("--model_dir=")]
    model_dir = os.path.join(folder, "run")
    printed = command.output_of(
      *words, f"--model_dir={model_dir}", *(f"--gin_param={binding}" for binding in _TINY)
    )
    self.assertIn("has no split 'test': the probe measures 'validation'", printed)
    found = metrics.read(os.path.join(model_dir, "metrics.jsonl"))
    self.assertEqual([line["step"] for line in found if "probe/knn_video" in line], [0, 2])
    with open(os.path.join(output, "dataset_info.json"), encoding="utf-8") as f:
      self.assertEqual(sorted(json.load(f)["splits"]), ["train", "validation"])


if __name__ == "__main__":
  absltest.main()

"""Tests of building records of published data sets, from miniatures of them in their layouts."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.survey import survey
from tests import source_tree
from tests.tools import published_miniatures as miniatures


class PublishedDataSetsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.root = os.path.join(folder.name, "input")
    self.output = os.path.join(folder.name, "data")

  def build(self, source, *arguments):
    """Builds records of `self.root`; returns what was printed and the description of the data."""
    process = subprocess.run(
      [
        sys.executable, str(source_tree.ROOT / "tools" / "make_tfrecords.py"),
        f"--source={source}", f"--input_dir={self.root}", f"--output_dir={self.output}",
        "--num_workers=0", *arguments,
      ],
      capture_output=True, text=True, check=False,
    )  # fmt: skip
    self.assertEqual(process.returncode, 0, process.stderr)
    return process.stdout, DatasetInfo.load(self.output)

  def failures(self):
    """Paths of what the build could not use."""
    with open(os.path.join(self.output, "failures.jsonl"), encoding="utf-8") as f:
      return [json.loads(line)["path"] for line in f]

  def test_kinetics_with_a_clip_whose_link_is_dead(self):
    miniatures.kinetics(self.root, (("train", 2), ("val", 1)))
    dead = miniatures.delete(self.root, "train/YoYo/video-00001_000000_000010.mp4")
    printed, info = self.build("kinetics", "--short_side=32", "--max_failure_rate=0.34")
    self.assertIn("1 of 3 listed clips (33.3%) have no file", printed)
    expected = os.path.join(self.root, "train", os.path.basename(dead))
    self.assertEqual(self.failures(), [expected])
    self.assertEqual(info.modalities, ["video", "audio"])
    (kept,) = info.records("train").ids
    self.assertEqual(kept, "train/Archery/video-00000_000000_000010.mp4@0.000")
    self.assertEqual(info.records("validation").labels.tolist(), [0])
    with open(os.path.join(self.output, ".build", "recipe.json"), encoding="utf-8") as f:
      recipe = json.load(f)
    # Shards of 256 MB: 16 frames/s of 32 x 57 pixels at 1/4 byte, and 24,000 floats/s, for 10 s.
    self.assertEqual(recipe["max_shard_clips"], int(256e6 / (10 * (16 * 32 * 32 * 4 / 9 + 96000))))

  def test_ucf101_with_and_without_sound(self):
    videos = miniatures.ucf101(self.root)
    _, info = self.build("ucf101", "--short_side=32", "--num_shards=4")
    self.assertEmpty(self.failures())
    self.assertEqual(info.modalities, ["video"])
    self.assertEqual(list(info.splits), ["all"])
    self.assertEqual(info.label_names, list(miniatures.LABELS))
    # One record a file, also of the long one.
    self.assertCountEqual(info.records("all").ids, [f"{video}@0.000" for video in videos])
    self.assertCountEqual(info.records("test2").ids, [f"{videos[1]}@0.000", f"{videos[4]}@0.000"])
    self.assertCountEqual(info.records("train1").labels.tolist(), [0, 0, 1, 1])
    self.assertTrue(info.is_shuffled)
    found = survey(self.output, info, num_samples=6)
    self.assertEmpty(found.problems)
    self.assertLen(found.samples, 6)

  def test_rec_street_as_the_authors_preprocess_it(self):
    ids = miniatures.spatial_audio_set(self.root, "REC-Street")
    dead = miniatures.delete(self.root, f"data/preproc/{ids[3]}-video.mp4")
    printed, info = self.build(
      "rec_street", "--short_side=32", "--clip_duration_sec=1", "--min_duration_sec=1",
      "--max_failure_rate=0.3", "--flow",
    )  # fmt: skip
    self.assertIn("1 of 4 listed clips (25.0%) have no file", printed)
    self.assertEqual(self.failures(), [dead])
    self.assertEqual((info.frame_rate_hz, info.sample_rate_hz), (10.0, 48000))
    self.assertEqual((info.frame_size, info.num_channels, info.flow), ([32, 64], 4, True))
    # Two clips a video.
    self.assertCountEqual(
      info.records("test1").ids, [f"{ids[0]}-video.mp4@{s}.000" for s in (0, 1)]
    )
    counts = [info.num_clips(f"{n}{fold}") for fold in (1, 2, 3) for n in ("train", "test")]
    self.assertEqual(counts, [4, 2] * 3)
    found = survey(self.output, info, num_samples=6)
    self.assertEmpty(found.problems)
    field = miniatures.ambisonics()
    for clip in found.samples:
      first = round(48000 * float(clip.example_id.rpartition("@")[2]))
      np.testing.assert_allclose(clip.waveform, field.T[first : first + 48000], atol=1e-4)

  def test_esc50(self):
    names = miniatures.esc50(self.root)
    _, info = self.build("esc50", "--sample_rate_hz=8000")
    self.assertEqual(info.modalities, ["audio"])
    self.assertCountEqual(info.records("all").labels.tolist(), [0, 1] * 5)
    self.assertCountEqual(info.records("fold4").ids, [f"{name}@0.000" for name in names[6:8]])
    found = survey(self.output, info, num_samples=10)
    self.assertEmpty(found.problems)
    for clip in found.samples:
      self.assertEqual(clip.waveform.shape, (8000, 1))
      self.assertGreater(np.std(clip.waveform), 0.1)


if __name__ == "__main__":
  absltest.main()

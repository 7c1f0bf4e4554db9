"""Tests of the command that builds records, as it is called."""

import functools
import os
import shlex
import tempfile

import numpy as np
from absl.testing import absltest

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.survey import survey
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.spectrograms import Spectrogram
from tests import command, media_variants

_run = functools.partial(command.run_tool, "make_tfrecords")


class MakeTfrecordsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name
    self.output = os.path.join(self.folder, "data")

  def test_real_videos_of_all_kinds(self):
    videos = os.path.join(self.folder, "videos")
    os.mkdir(videos)
    media_variants.make_variants(videos)
    arguments = [
      "--source=folder", f"--input_dir={videos}", f"--output_dir={self.output}", "--num_workers=2",
      "--short_side=64", "--clip_duration_sec=2", "--min_duration_sec=1", "--num_shards=2",
    ]  # fmt: skip
    process = _run(*arguments)
    self.assertEqual(process.returncode, 1)
    self.assertIn("--max_failure_rate=0.1", process.stderr)
    self.assertIn("no audio stream", process.stderr)
    process = _run(*arguments, "--max_failure_rate=0.5")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertIn("no video stream", process.stdout)
    info = DatasetInfo.load(self.output)
    found = survey(self.output, info, num_samples=100)
    self.assertEmpty(found.problems)
    # 5.28 s give two clips of 2 s and a rest of 1.28 s; 4.68 s lose the rest.
    expected = sum(2 + (v.duration_sec > 5) for v in media_variants.GOOD_VARIANTS)
    self.assertEqual(info.num_clips("train"), expected)
    sizes = {}
    for clip in found.samples:
      sizes.setdefault(clip.example_id.split("@")[0], (clip.height, clip.width))
    self.assertEqual(sizes["stereo_30hz.mp4"][0], 64)
    self.assertEqual(sizes["rotated_90.mp4"][1], 64)
    statistics = info.spectrogram_statistics[Spectrogram().id]
    self.assertTrue(np.all(np.array(statistics["std"]) > 0))

  def test_examples_in_the_code_give_what_they_show(self):
    process = command.run_python("-m", "doctest", "tools/make_tfrecords.py")
    self.assertEqual(process.returncode, 0, process.stdout + process.stderr)

  def test_names_of_any_kind(self):
    videos = os.path.join(self.folder, "a $b 'c'")
    good = os.path.join(self.folder, "good.mp4")
    pictures = media_variants.pictures_at(media_variants.regular_times(8, end_sec=2.5))
    media_variants.write_media(good, pictures, media_variants.sine(2.5))
    names = [b"new\nline.mp4", b"b l a n k.mp4", "\u00fc.mp4".encode(), b"no text \xff.mp4"]
    for label in (b"\xc3\xa4 1", b"\xff2"):
      folder = os.path.join(os.fsencode(videos), label)
      os.makedirs(folder)
      for name in names:
        os.symlink(os.fsencode(good), os.path.join(folder, name))
      with open(os.path.join(folder, b"broken\n\xff.mp4"), "wb"):
        pass
    output = os.path.join(self.folder, "my 'data' $x")
    process = _run(
      "--source=folder", f"--input_dir={videos}", f"--output_dir={output}", "--num_workers=0",
      "--short_side=32", "--max_failure_rate=0.5", "--test_fraction=0",
    )  # fmt: skip
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertRegex(process.stdout, r"2  empty file, such as \".*broken\\n\\udcff.mp4\"\n")
    self.assertIn("no test split", process.stdout)
    info = DatasetInfo.load(output)
    self.assertEqual(info.num_clips("train"), 8)
    self.assertEmpty(survey(output, info).problems)
    # The commands that it proposes, as a shell takes them apart.
    look, train = process.stdout.splitlines()[-2:]
    self.assertIn(f"--data_dir={output}", shlex.split(look))
    self.assertIn(f'data_dir="{output}"', "".join(shlex.split(train)))

  def test_the_demo_world(self):
    arguments = [
      "--source=demo", f"--output_dir={self.output}", "--num_workers=0", "--num_shards=2",
      "--gin_param=PlanarWorld.num_train=5", "--gin_param=PlanarWorld.num_test=3",
      "--gin_param=PlanarWorld.faulty_positive_rate=0.4",
    ]  # fmt: skip
    process = _run(*arguments)
    self.assertEqual(process.returncode, 0, process.stderr)
    info = DatasetInfo.load(self.output)
    found = survey(self.output, info, num_samples=8)
    self.assertEmpty(found.problems)
    world = PlanarWorld(num_train=5, num_test=3, faulty_positive_rate=0.4)
    clips = [world.clip("train", index) for index in range(5)]
    clips = [world.clip("test", index) for index in range(3)] + clips
    self.assertEqual([c.labels for c in found.samples],
                     [[world.label_names[clip.label]] for clip in clips])  # fmt: skip
    for stored, clip in zip(found.samples, clips):
      np.testing.assert_array_equal(stored.waveform[:, 0], clip.waveform)
      np.testing.assert_array_equal(stored.boxes, clip.boxes)
      self.assertLen(stored.frames, len(clip.frames))
    self.assertIn("Up to date", _run(*arguments).stdout)

  def test_the_360_demo_world(self):
    process = _run(
      "--source=demo360", f"--output_dir={self.output}", "--num_workers=0", "--num_shards=1",
      "--gin_param=SphericalWorld.num_train=3", "--gin_param=SphericalWorld.num_test=2",
    )  # fmt: skip
    self.assertEqual(process.returncode, 0, process.stderr)
    info = DatasetInfo.load(self.output)
    self.assertEqual((info.projection, info.num_channels), ("equirectangular", 4))
    self.assertEqual((info.num_clips("train"), info.num_clips("test")), (3, 2))
    self.assertEmpty(survey(self.output, info).problems)
    self.assertLen(info.spectrogram_statistics, 1)
    self.assertIn("--gin_file=gin/avsa.gin", process.stdout.splitlines()[-1])
    self.assertFalse(info.flow)

  def test_the_360_demo_world_with_optical_flow(self):
    arguments = [
      "--source=demo360", f"--output_dir={self.output}", "--num_workers=0", "--num_shards=1",
      "--gin_param=SphericalWorld.num_train=2", "--gin_param=SphericalWorld.num_test=1",
    ]  # fmt: skip
    process = _run(*arguments, "--flow")
    self.assertEqual(process.returncode, 0, process.stderr)
    info = DatasetInfo.load(self.output)
    self.assertTrue(info.flow)
    found = survey(self.output, info, num_samples=3)
    self.assertEmpty(found.problems)
    self.assertEqual([len(clip.flow) for clip in found.samples], [12, 12, 12])
    # The data set does not change its kind unasked.
    process = _run(*arguments)
    self.assertEqual(process.returncode, 1)
    self.assertIn("flow: True -> (not set)", process.stderr)
    info.flow = False
    problems = survey(self.output, info).problems
    self.assertLen(problems, 3)
    self.assertIn("12 optical flow images; expected 0", problems[0])

  def test_flags_that_do_not_go_together(self):
    for arguments, message in (
      (["--source=folder"], "requires --output_dir"),
      (["--source=demo", "--frame_rate_hz=8"], "--frame_rate_hz: not supported"),
      (["--source=demo360", "--short_side=64"], "--gin_param=SphericalWorld.num_train=512"),
      (["--source=demo", "--flow"], "--flow: not supported with --source=demo"),
      (
        ["--source=folder", f"--output_dir={self.output}", "--flow", "--channel_order=acn"],
        "--channel_order, --flow: only for 360° video; pass --projection=",
      ),
      (
        ["--source=kinetics", f"--output_dir={self.output}", "--flow"],
        "--flow: not supported with --source=kinetics",
      ),
      (["--source=csv", f"--output_dir={self.output}"], "requires --input_csv=<manifest>, once"),
      (
        ["--source=esc50", "--short_side=32", "--trimmed", f"--output_dir={self.output}"],
        "--trimmed, --short_side: not supported with --source=esc50",
      ),
      (["--source=demo", "--gin_param=PlanarWorld.sead=1"], "sead"),
    ):
      process = _run(*arguments)
      self.assertEqual(process.returncode, 1, arguments)
      self.assertIn(message, process.stderr)
      self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  absltest.main()

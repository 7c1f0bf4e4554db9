"""Tests of the demo data set, which is built when it is needed."""

import contextlib
import dataclasses
import io
import os
import tempfile
import unittest

from avssl_tf.data.building import demo
from avssl_tf.data.building.work_folder import BuildError
from avssl_tf.data.records import dataset_info
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.spectrograms import Spectrogram


class DemoDataTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    spectrogram = Spectrogram(sample_rate_hz=8000, fft_length=512, hop_length=160, num_bins=129)
    self.data = demo.DemoData(
      PlanarWorld(num_train=3, num_test=2), spectrogram, os.path.join(folder.name, "demo")
    )

  def build(self, data=None):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
      (data or self.data).build_if_missing(num_workers=0)
    return output.getvalue()

  def test_is_built_once(self):
    self.assertIn("There is no demo data in", self.build())
    info = dataset_info.DatasetInfo.load(self.data)
    self.assertEqual((info.num_clips("train"), info.num_clips("test")), (3, 2))
    self.assertIn(self.data.spectrogram.id, info.spectrogram_statistics)
    self.assertEqual(self.build(), "")

  def test_clips_whose_sound_was_replaced_are_known(self):
    world = PlanarWorld(num_train=8, num_test=2, faulty_positive_rate=0.5)
    self.data = dataclasses.replace(self.data, world=world)
    self.build()
    info = dataset_info.DatasetInfo.load(self.data)
    for split in ("train", "test"):
      table = info.records(split)
      clips = [world.clip(split, index) for index in range(world.num_clips(split))]
      replaced = [clip.audio_from != index for index, clip in enumerate(clips)]
      self.assertEqual(sum(replaced), len(clips) // 2)
      self.assertEqual(table.sound_replaced.tolist(), replaced)
      self.assertEqual(table.labels.tolist(), [clip.label for clip in clips])
      self.assertEqual(table.ids[1], f"planar/{split}/00001@0.000")

  def test_spectrogram_of_another_rate_is_not_measured(self):
    self.data = dataclasses.replace(self.data, spectrogram=Spectrogram())
    self.build()
    self.assertEqual(dataset_info.DatasetInfo.load(self.data).spectrogram_statistics, {})

  def test_other_world_is_refused(self):
    self.build()
    other = dataclasses.replace(self.data, world=PlanarWorld(num_train=4, num_test=2))
    with self.assertRaisesRegex(BuildError, "'num_train': 3.*'num_train': 4.*another folder"):
      self.build(other)

  def test_flow_is_made_where_it_is_asked_for(self):
    world = SphericalWorld(num_train=2, num_test=1)
    plain = dataclasses.replace(self.data, world=world)
    wanted = dataclasses.replace(plain, flow=True)
    self.build(plain)
    with self.assertRaisesRegex(BuildError, "has no optical flow, which DemoData.flow requires"):
      self.build(wanted)
    other = dataclasses.replace(wanted, folder=plain.folder + "_flow")
    self.build(other)
    self.assertTrue(dataset_info.DatasetInfo.load(other).flow)
    # Flow is accepted where it is not required.
    self.assertEqual(self.build(dataclasses.replace(other, flow=False)), "")
    with self.assertRaisesRegex(ValueError, "flow requires the frames of 360° clips"):
      self.build(dataclasses.replace(self.data, folder=plain.folder + "_planar", flow=True))

  def test_is_a_path(self):
    self.assertEqual(os.fspath(self.data), self.data.folder)
    self.assertEqual(str(self.data), self.data.folder)


if __name__ == "__main__":
  unittest.main()

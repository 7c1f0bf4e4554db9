"""Tests that custom channel layouts do not corrupt the memory of the process."""

import subprocess
import sys
import unittest

import av
import numpy as np

from avssl_tf.data.media import clip_reading, media_opening, sound_layouts
from tests import media_variants, source_tree, spatial_files

_READ = """
import gc, sys
from avssl_tf.data.media import clip_reading, media_probe
for _ in range(30):
  media_probe.probe(sys.argv[1])
  clip_reading.read_clip(sys.argv[1], 0.1, 0.6, num_channels=None)
  gc.collect()
"""


class SoundLayoutsTest(media_variants.MediaTestCase):

  def file(self, *boxes, layout="4.0", samples=None):
    samples = spatial_files.field(1.0) if samples is None else samples
    path = self.write("a.mov", samples=samples, layout=layout, audio_codec="pcm_s16le")
    spatial_files.change_mp4(path, sound=boxes)
    return path

  def test_many_readings_of_a_file_with_named_channels(self):
    path = self.file(spatial_files.sa3d([3, 0, 2, 1]))
    command = [sys.executable, "-c", _READ, path]
    result = subprocess.run(command, cwd=source_tree.ROOT, capture_output=True, text=True)
    self.assertEqual(result.returncode, 0, result.stderr[-2000:])

  def test_channels_stay_in_their_order(self):
    samples = spatial_files.field(1.0)
    path = self.file(spatial_files.sa3d([3, 0, 2, 1]), samples=samples)
    found = clip_reading.read_clip(path, 0.0, 0.9, sample_rate_hz=48000, num_channels=None).waveform
    np.testing.assert_allclose(found.T, samples[:, : round(0.9 * 48000)], atol=1e-3)

  def test_layouts(self):
    for boxes, name in (
      ((spatial_files.sa3d([3, 0, 2, 1]),), "4 channels"),
      ((spatial_files.sa3d([0, 1, 2, 3]),), "ambisonic 1"),
      ((), "4.0"),
    ):
      with media_opening.open_container(self.file(*boxes)) as container:
        layout = container.streams.audio[0].codec_context.layout
        self.assertEqual((layout.name, layout.nb_channels), (name, 4))
        self.assertFalse(sound_layouts.is_custom(layout))
    for name in ("stereo", "5.1(side)", "7.1(wide)", "22.2", "hexadecagonal", "9 channels"):
      self.assertFalse(sound_layouts.is_custom(av.AudioLayout(name)), name)


if __name__ == "__main__":
  unittest.main()

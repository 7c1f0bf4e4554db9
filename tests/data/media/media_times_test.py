"""Tests that clock jumps are refused, and valid time stamps are not."""

import os
import unittest

from absl.testing import parameterized

from avssl_tf.applications import localize, media_windows, spatialize
from avssl_tf.applications.media_windows import Span
from avssl_tf.data.building import plan
from avssl_tf.data.media import clip_reading, media_limits, media_probe, media_times
from avssl_tf.data.media.media_limits import MediaError
from tests import hostile_media, media_variants

_SECOND = hostile_media.SECOND
_DAY_SEC = 24 * 3600.0


def _later(seconds, by_sec):
  return [t + by_sec for t in seconds]


class TimesTest(media_variants.MediaTestCase):

  def write_at(self, pictures_sec, sound_sec):
    return hostile_media.write_at(os.path.join(self.folder, "a.mkv"), pictures_sec, sound_sec)

  def test_jump_of_years(self):
    times = [*_SECOND, *_later(_SECOND, 10 * hostile_media.YEAR_SEC)]
    path = self.write_at(times, times)
    hostile_media.reset_peak_memory()
    with self.assertRaisesRegex(MediaError, "too long: it states 31536000. s; expected at most"):
      media_probe.probe(path)
    with self.assertRaisesRegex(MediaError, "time stamps jump by 315359999 s at 0.90 s"):
      media_times.check(path)
    self.assertLess(hostile_media.peak_memory_mb(), 100)

  def test_jump_of_a_day(self):
    times = [*_SECOND, *_later(_SECOND, _DAY_SEC)]
    with self.assertRaisesRegex(MediaError, "time stamps jump by 86399 s at 0.90 s; expected"):
      media_probe.probe(self.write_at(times, times))

  def test_many_gaps(self):
    times = [250.0 * k for k in range(100)]
    with self.assertRaisesRegex(MediaError, "gaps of 24750 s in total, out of 24750 s"):
      media_probe.probe(self.write_at(times, times))

  @parameterized.parameters("mkv", "ts", "mp4")
  def test_recording_that_starts_late(self, kind):
    # The clock of a receiver, or hours of a live stream.
    start_sec = 10 * 3600.0
    path = os.path.join(self.folder, f"a.{kind}")
    pictures = media_variants.pictures_at([start_sec + k / 25 for k in range(75)])
    media_variants.write_media(
      path, pictures, media_variants.sine(3.0), sound_start_sec=start_sec
    )
    self.assertAlmostEqual(media_probe.probe(path).duration_sec, 3.0, delta=0.2)
    self.assertEqual(len(clip_reading.read_clip(path, 1.0, 2.0).frames), 16)
    media_times.check(path)

  def test_recorder_that_paused(self):
    times = [*_SECOND, *_later(_SECOND, 200.0)]
    path = self.write_at(times, times)
    media_times.check(path)
    self.assertAlmostEqual(media_probe.probe(path).duration_sec, 201.0, delta=0.1)

  def test_picture_that_is_held_while_there_is_sound(self):
    path = self.write_at([0.0, 1500.0], [k / 10 for k in range(15000)])
    media_times.check(path)
    self.assertAlmostEqual(media_probe.probe(path).duration_sec, 1500.0, delta=0.2)

  def test_pictures_that_are_held_alone(self):
    path = self.write_at([0.0, 1500.0], [0.0])
    with self.assertRaisesRegex(MediaError, "time stamps jump by 1500 s"):
      media_probe.probe(path, ("video",))

  def test_times_that_go_back(self):
    path = self.write_at([0.0, *_SECOND[1:]], [*_SECOND])
    media_times.check(path)

  def test_day_is_not_too_long(self):
    media_limits.check_duration(_DAY_SEC)
    self.assertEqual(len(plan.cut(None, None, _DAY_SEC, plan.Cutting())), 8640)
    self.assertEqual(len(media_windows.spread(Span(0.0, _DAY_SEC), 2.0, 1.0)), 86399)

  def test_numbers_of_clips_and_windows_are_bounded(self):
    cutting = plan.Cutting(0.01, 0.01)
    with self.assertRaisesRegex(MediaError, "too many clips: 8640000 in 86400 s; expected"):
      plan.cut(None, None, _DAY_SEC, cutting)
    with self.assertRaisesRegex(MediaError, "too many windows: .* in 86400 s; expected"):
      media_windows.spread(Span(0.0, _DAY_SEC), 2.0, 0.01)

  def test_applications_do_not_fill_jumps(self):
    times = [*_SECOND, *_later(_SECOND, 10 * hostile_media.YEAR_SEC)]
    path = self.write_at(times, times)
    output = os.path.join(self.folder, "out.mp4")
    for job in (localize.Job(path, output), spatialize.Job(path, [output])):
      with self.assertRaisesRegex(ValueError, "--input=.*a.mkv: time stamps jump by 315359999 s"):
        job.check()


if __name__ == "__main__":
  unittest.main()

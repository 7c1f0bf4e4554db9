"""Tests that any error of one file is only a failure of that file."""

import json
import os
import unittest
from unittest import mock

from avssl_tf.data.building.build import BuildError, build
from avssl_tf.data.building.media_sources import WHOLE_FILES
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.building.readers import MediaReader
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.clip_content import reason_of
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.records import encoding
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from tests import hostile_media
from tests.data.building import fake_source
from tests.data.building.build_case import BuildCase

_SECOND = hostile_media.SECOND
_CUTTING = Cutting(1.0, 0.5)
_TWO_SECONDS = tuple(k / 10 for k in range(20))

_CUTTING = Cutting(1.0, 0.5)


class UnexpectedTest(BuildCase):

  def failures(self):
    with open(os.path.join(self.output, "failures.jsonl"), encoding="utf-8") as f:
      return {os.path.basename(r["path"]): r["reason"] for r in map(json.loads, f)}

  def test_any_exception_in_probing_or_reading(self):
    probe, read = fake_source.FakeReader.probe, fake_source.FakeReader.read
    names = sorted(os.listdir(self.inputs))

    def bad_probe(reader, path, modalities):
      if path.endswith(names[1]):
        raise ZeroDivisionError("division by zero")
      return probe(reader, path, modalities)

    def bad_read(reader, clip, modalities):
      if clip.path.endswith(names[3]):
        raise MemoryError("Unable to allocate 5.86 GiB")
      if clip.path.endswith(names[4]):
        raise KeyError("x")
      return read(reader, clip, modalities)

    with mock.patch.object(fake_source.FakeReader, "probe", bad_probe), mock.patch.object(
      fake_source.FakeReader, "read", bad_read
    ):
      result = build(fake_source.recipe(self.inputs), self.output, 0, max_failure_rate=0.9)
    self.assertGreater(result.info.num_clips("train"), 3)
    found = self.failures()
    self.assertEqual(
      {name: found[name] for name in (names[1], names[3], names[4])},
      {
        names[1]: "unexpected ZeroDivisionError: division by zero",
        names[3]: "out of memory: Unable to allocate 5.86 GiB",
        names[4]: "unexpected KeyError: 'x'",
      },
    )

  def test_any_exception_in_encoding(self):
    with mock.patch.object(encoding, "encode_example", side_effect=ValueError("peak is 3")):
      with self.assertRaisesRegex(BuildError, "unexpected ValueError, such as"):
        build(fake_source.recipe(self.inputs), self.output, 0, max_failure_rate=0.9)

  def test_who_stops_the_build_stops_it(self):
    for stop in (KeyboardInterrupt, SystemExit):
      with mock.patch.object(fake_source.FakeReader, "read", side_effect=stop):
        with self.assertRaises(stop):
          build(fake_source.recipe(self.inputs), self.output, 0, max_failure_rate=0.9)

  def test_a_full_disk_stops_the_build(self):
    with mock.patch(
      "tensorflow.io.TFRecordWriter.write", side_effect=OSError(28, "No space left on device")
    ):
      with self.assertRaisesRegex(BuildError, "cannot be written or read.*No space left"):
        build(fake_source.recipe(self.inputs), self.output, 0, max_failure_rate=0.9)

  def test_reasons(self):
    self.assertEqual(reason_of(MediaError("no sound: x")), "no sound: x")
    self.assertEqual(reason_of(OSError(13, "Denied")), "cannot be read: Denied")


class HostileFilesTest(BuildCase):
  """Real files and the real reader."""

  def build(self, paths, modalities=("video", "audio"), cutting=_CUTTING, **settings):
    requests = [
      ClipRequest("train", path, None, None, (), os.path.basename(path)) for path in paths
    ]
    recipe = Recipe(
      name="hostile",
      requests=requests,
      label_names=[],
      reader=MediaReader(frame_rate_hz=4.0, short_side=32, sample_rate_hz=8000),
      cutting=cutting,
      jpeg=JpegSettings(),
      num_shards=2,
      spectrogram=None,
      modalities=modalities,
      origin={},
    )
    result = build(recipe, self.output, max_failure_rate=0.95, **settings)
    return result, {os.path.basename(f.path): f.reason.split(":")[0] for f in result.failures}

  def path(self, name):
    return os.path.join(self.inputs, name)

  def test_sounds(self):
    good = hostile_media.write_wav(self.path("good.wav"), 8000)
    paths = [
      good,
      hostile_media.write_wav(self.path("rate.wav"), 1),
      hostile_media.write_wav(self.path("channels.wav"), 8000, 900, 512),
      hostile_media.write_rf64(self.path("rf64.wav"), 2**61),
    ]
    for num_workers in (0, 1):
      result, failures = self.build(
        paths, ("audio",), WHOLE_FILES, num_workers=num_workers, overwrite=num_workers > 0
      )
      self.assertEqual(result.info.num_clips("train"), 1)
      self.assertEqual(
        failures,
        {
          "rate.wav": "sample rate out of bounds",
          "channels.wav": "too many channels",
          "rf64.wav": "truncated",
        },
      )

  def test_videos(self):
    jumping = [*_TWO_SECONDS, *(t + 10 * hostile_media.YEAR_SEC for t in _TWO_SECONDS)]
    day = [*_TWO_SECONDS, *(t + 86400 for t in _TWO_SECONDS)]
    huge, small = hostile_media.png(16000, 16000), hostile_media.png(32, 64)
    os.mkfifo(self.path("pipe.mp4"))
    with open(self.path("script.mp4"), "w", encoding="utf-8") as f:
      f.write("ffconcat version 1.0\nfile good.mkv\n")
    paths = [
      hostile_media.write_at(self.path("good.mkv"), _TWO_SECONDS, _TWO_SECONDS),
      hostile_media.write_at(self.path("years.mkv"), jumping, jumping),
      hostile_media.write_at(self.path("day.mkv"), day, day),
      hostile_media.write_at(self.path("wide.mkv"), _SECOND, _SECOND, (16, 16000)),
      hostile_media.write_packets(
        self.path("bomb.mov"), "png", [(t, huge if t > 0.5 else small) for t in _SECOND],
        _SECOND, (32, 64),
      ),
      self.path("pipe.mp4"),
      self.path("script.mp4"),
    ]  # fmt: skip
    hostile_media.reset_peak_memory()
    result, failures = self.build(paths, num_workers=0)
    self.assertLess(hostile_media.peak_memory_mb(), 300)
    self.assertEqual(result.info.num_clips("train"), 2)
    self.assertEqual(
      failures,
      {
        "years.mkv": "too long",
        "day.mkv": "time stamps jump by 86398 s at 1.90 s; expected at most 300 s without video "
        "and audio. Cut the file there, or rewrite it with new time stamps",
        "wide.mkv": "frames too narrow",
        "bomb.mov": "truncated or damaged",
        "pipe.mp4": "not a regular file",
        "script.mp4": "a playlist or script, which refers to other files",
      },
    )


if __name__ == "__main__":
  unittest.main()

"""Tests of windows of media files: positions, and equality with windows of records."""

import dataclasses
import os
import shutil

import numpy as np
from absl.testing import absltest
from scipy.io import wavfile

from avssl_tf import keys
from avssl_tf.applications import media_windows
from avssl_tf.applications.media_windows import Span
from avssl_tf.data.building import build, plan, readers, recipe
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.sources.folder import clips_of_folder
from avssl_tf.inference import features as features_lib
from avssl_tf.inference.encoder import Encoder
from tests import colour_encoder, media_variants, tiny_av_model


class SpreadTest(media_variants.MediaTestCase):

  def check(self, length_sec, stride_sec, expected, start_sec=0.0):
    span = Span(start_sec, start_sec + length_sec)
    found = media_windows.spread(span, 2.0, stride_sec)
    self.assertEqual(found, [Span(start, start + 2.0) for start in expected])

  def test_windows_follow_each_other(self):
    self.check(6.0, 2.0, [0.0, 2.0, 4.0])
    # Up to half a window at the end is dropped.
    self.check(7.0, 2.0, [0.0, 2.0, 4.0])
    self.check(7.25, 2.0, [0.0, 2.0, 4.0, 5.25])
    self.check(2.5, 0.25, [1.0, 1.25, 1.5], start_sec=1.0)
    # They fit except for rounding.
    self.check(2.0 + 3 * 0.1 - 1e-9, 0.1, [0.0, 0.1, 0.2, 0.3])

  def test_gaps_that_are_asked_for(self):
    self.check(13.9, 5.0, [0.0, 5.0, 10.0])

  def test_what_is_shorter_is_one(self):
    for length_sec in (0.04, 1.9, 2.0):
      span = Span(3.0, 3.0 + length_sec)
      self.assertEqual(media_windows.spread(span, 2.0, 2.0), [span])


class SameAsRecordsTest(media_variants.MediaTestCase):
  """Compares network inputs with those of the pipeline for records of the same file."""

  def setUp(self):
    super().setUp()
    self.videos = os.path.join(self.folder, "videos")
    os.mkdir(self.videos)
    self.film = os.path.join(self.videos, "film.mp4")
    shutil.copy(media_variants.SOURCE, self.film)
    model = tiny_av_model.make()
    self.encoder = Encoder.of_model(model, tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1)

  def records(self, reader, cutting, jpeg):
    listing = clips_of_folder(self.videos)
    made = recipe.Recipe("film", listing.requests, (), reader, cutting, jpeg, num_shards=1)
    data_dir = os.path.join(self.folder, "records")
    build.build(made, data_dir, num_workers=0)
    clip = dataclasses.replace(self.encoder.clip, sample_rate_hz=self.encoder.sample_rate_hz)
    return datasets.evaluation_dataset(data_dir, "train", clip, batch_size=32)

  def test_windows_are_those_of_records_as_long(self):
    reader = readers.MediaReader(frame_rate_hz=8.0, sample_rate_hz=4000)
    # A frame may take as many bytes as in records with 16 frames per second.
    jpeg = JpegSettings(max_bytes_per_sec=100_000)
    dataset = self.records(reader, plan.Cutting(0.5, 0.5), jpeg)
    batch = next(iter(dataset))
    windows_of = media_windows.WindowReader(self.encoder)
    self.assertEqual(windows_of.window_sec, 0.5)
    planned = windows_of.plan(self.film, 0.5)
    self.assertEqual(planned.modalities, ["video", "audio"])
    windows, failures = [], []
    for spans in windows_of.blocks(planned.spans):
      found, failed = windows_of.read(planned, spans)
      windows += found
      failures += failed
    self.assertEqual(failures, [])
    # The last one, which ends with the file, is not a clip of the records.
    self.assertLen(windows, 11)
    self.assertEqual([window.span.start_sec for window in windows[:10]], list(np.arange(10) / 2))
    windows = windows[: len(batch["key"])]
    self.assertLen(windows, 10)
    for i, window in enumerate(windows):
      np.testing.assert_array_equal(window.inputs["video"], batch["video"][i], err_msg=str(i))
      # At the end of a record, the resampling filter has less context.
      np.testing.assert_allclose(window.inputs["audio"], batch["audio"][i], atol=2e-4)
    stacked = {m: np.stack([window.inputs[m] for window in windows]) for m in keys.MODALITIES}
    expected = features_lib.extract(self.encoder, dataset)
    for modality in keys.MODALITIES:
      found = getattr(self.encoder, f"embed_{modality}")(stacked[modality])
      np.testing.assert_allclose(found["features"], expected.of(modality), rtol=1e-2, atol=1e-4)

  def test_records_of_other_rates_give_nearly_the_same(self):
    # A usual size, at which compression is less visible than with few pixels.
    clip = dataclasses.replace(self.encoder.clip, frame_size=112)
    self.encoder = dataclasses.replace(self.encoder, clip=clip)
    # Defaults of tools/make_tfrecords.py: 16 frames per second, audio at 24 kHz.
    dataset = self.records(readers.MediaReader(), plan.Cutting(), JpegSettings())
    batch = next(iter(dataset))
    windows_of = media_windows.WindowReader(self.encoder)
    # The middle of the record: its pictures are those of up to 1/25 s before, and windows of
    # records begin with a picture of theirs, 1/16 s apart.
    found = {}
    for modality, start_sec in (("video", 2.38), ("audio", 2.39)):
      planned = windows_of.plan(self.film, 0.5, start_sec=start_sec, end_sec=start_sec + 0.5)
      (window,), _ = windows_of.read(planned, planned.spans)
      found[modality] = window.inputs[modality]
    # Except for the JPEG quality, which is that of a whole clip in records.
    difference = found["video"].astype(float) - batch["video"][0].numpy()
    self.assertLess(np.abs(difference).mean(), 2.0)
    # Except for where the audio of the record was cut before resampling.
    sounds = found["audio"][50:-50, 0], batch["audio"][0, 50:-50, 0]
    self.assertGreater(np.corrcoef(*sounds)[0, 1], 0.999)


class ReadTest(media_variants.MediaTestCase):

  def windows(self, path, encoder=None, stride_sec=1.0, **options):
    reader = media_windows.WindowReader(encoder or colour_encoder.make())
    planned = reader.plan(path, stride_sec, **options)
    found = [reader.read(planned, spans) for spans in reader.blocks(planned.spans)]
    failures = [*planned.failures, *(f for _, failed in found for f in failed)]
    return [window for windows, _ in found for window in windows], failures

  def grey_film(self, name, duration_sec, rate_hz=8, **options):
    """The brightness of each frame is its number."""
    pictures = [
      (k / rate_hz, np.full((32, 32, 3), 40 + 10 * k, np.uint8))
      for k in range(round(duration_sec * rate_hz))
    ]
    options = {"video_codec": "ffv1", "pixel_format": "bgr0", "audio_codec": "flac", **options}
    return self.write(name, pictures, duration_sec=duration_sec, **options)

  def test_pictures_and_sound_share_their_middle(self):
    ramp = np.linspace(-0.8, 0.8, 96000, dtype=np.float32)[np.newaxis]
    path = self.grey_film("film.mkv", 2.0, samples=ramp)
    first, second = self.windows(path)[0]
    self.assertEqual((first.span, second.span), (Span(0.0, 1.0), Span(1.0, 2.0)))
    for window in (first, second):
      middle = window.span.middle_sec
      numbers = (window.inputs["video"].mean(axis=(1, 2, 3)) - 40) / 10
      np.testing.assert_allclose(numbers, middle * 8 - 2 + np.arange(4), atol=0.3)
      self.assertEqual(window.inputs["audio"].shape, (8000, 1))
      self.assertAlmostEqual(window.inputs["audio"].mean(), -0.8 + 0.8 * middle, delta=0.01)

  def test_short_files_are_repeated(self):
    path = self.grey_film("short.mkv", 0.25)
    (window,), _ = self.windows(path)
    self.assertAlmostEqual(window.span.end_sec, 0.25, delta=0.01)
    numbers = (window.inputs["video"].mean(axis=(1, 2, 3)) - 40) / 10
    np.testing.assert_allclose(numbers, [0, 1, 0, 1], atol=0.3)
    sound = window.inputs["audio"][:, 0]
    np.testing.assert_allclose(sound[:2000], sound[2000:4000], atol=1e-3)
    self.assertGreater(np.abs(sound[:2000]).max(), 0.4)

  def test_one_of_pictures_and_sound(self):
    silent_film = os.path.join(self.folder, "film.mp4")
    media_variants.write_media(silent_film, media_variants.pictures_at(
      media_variants.regular_times(25, end_sec=2.0)), None)  # fmt: skip
    sound = os.path.join(self.folder, "sound.wav")
    wavfile.write(sound, 16000, media_variants.sine(2.0, 16000)[0])
    for path, modality in ((silent_film, "video"), (sound, "audio")):
      windows, failures = self.windows(path)
      self.assertLen(windows, 2)
      self.assertEqual(failures, [])
      for window in windows:
        self.assertEqual(list(window.inputs), [modality])
    with self.assertRaisesRegex(MediaError, "no audio stream"):
      self.windows(silent_film, modalities=["audio"])

  def test_silence_is_no_sound(self):
    half = media_variants.sine(4.0)
    half[:, 90000:] = 0.0  # Some time before the windows, because filters ring.
    path = self.write("half.mkv", "plain", half, 4.0, audio_codec="flac")
    windows, failures = self.windows(path)
    expected = [["video", "audio"]] * 2 + [["video"]] * 2
    self.assertEqual([list(window.inputs) for window in windows], expected)
    self.assertEqual(failures, [])
    windows, _ = self.windows(self.write("half.flac", None, half, audio_codec="flac"))
    self.assertEqual([window.span.start_sec for window in windows], [0.0, 1.0])

  def test_damage_costs_no_more_than_its_windows(self):
    path = self.write("film.mkv", "plain", duration_sec=8.0, keyframe_interval=1,
                      video_codec="mjpeg", pixel_format="yuvj420p")  # fmt: skip
    media_variants.damage(path, "audio", 160)  # At 3.4 s.
    windows, failures = self.windows(path)
    starts = [window.span.start_sec for window in windows]
    self.assertEqual(starts, [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0])
    self.assertLen(failures, 1)
    self.assertEqual((failures[0].start_sec, failures[0].end_sec), (3.0, 4.0))
    self.assertRegex(failures[0].reason, "damaged")

  def test_a_sound_that_the_network_cannot_take_is_left_out(self):
    # As for 360° clips, of which ordinary ones show a view.
    clip = dataclasses.replace(colour_encoder.CLIP, viewpoints=ViewpointSpec(num_viewpoints=2))
    encoder = colour_encoder.make(num_channels=4, clip=clip)
    windows, failures = self.windows(self.write("film.mp4", duration_sec=2.0), encoder)
    self.assertEqual([list(window.inputs) for window in windows], [["video"]] * 2)
    self.assertLen(failures, 1)
    self.assertRegex(failures[0].reason, "skipped: it has 1 channels, and the network requires 4")
    with self.assertRaisesRegex(MediaError, "the network requires 4"):
      self.windows(self.write("tone.flac", None, audio_codec="flac"), encoder)
    field = os.path.join(self.folder, "field.wav")
    wavfile.write(field, 16000, np.repeat(media_variants.sine(1.0, 16000), 4, axis=0).T)
    (window,), failures = self.windows(field, encoder)
    self.assertEqual((window.inputs["audio"].shape, failures), ((8000, 4), []))

  def test_parts_of_files(self):
    path = self.write("film.mp4", duration_sec=4.0)
    windows, _ = self.windows(path, start_sec=1.5, end_sec=3.5)
    self.assertEqual([w.span for w in windows], [Span(1.5, 2.5), Span(2.5, 3.5)])
    for start_sec, end_sec in ((4.5, None), (3.0, 5.0)):
      with self.assertRaisesRegex(MediaError, r"it is 4.0\d s long and has no part"):
        self.windows(path, start_sec=start_sec, end_sec=end_sec)

  def test_long_files_are_read_in_blocks(self):
    path = self.write("film.mp4", duration_sec=25.0)
    reader = media_windows.WindowReader(colour_encoder.make())
    planned = reader.plan(path, 0.5)
    blocks = reader.blocks(planned.spans)
    self.assertEqual([span for block in blocks for span in block], planned.spans)
    self.assertLen(planned.spans, 49)
    for block in blocks:
      self.assertLessEqual(block[-1].end_sec - block[0].start_sec, 10.0)
    # Windows longer than half a block are read as well.
    self.assertLen(reader.blocks([Span(0.0, 30.0), Span(30.0, 60.0)]), 2)


if __name__ == "__main__":
  absltest.main()

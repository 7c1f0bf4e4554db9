"""Tests of sound source localisation, with a network that assigns all sound to red objects."""

import dataclasses
import os
import unittest
from fractions import Fraction

import av
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.applications import localize
from avssl_tf.data.media import media_sound
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference.encoder import Encoder
from tests import media_variants, spatial_files, tiny_alignment

_RATE_HZ = 16000
_CLIP = ClipSpec(num_frames=2, frame_rate_hz=4.0, frame_size=32, audio_sec=0.5)


def _unused(value):
  raise NotImplementedError


def _embed_audio(waveform):
  ones = tf.ones([tf.shape(waveform)[0], 1])
  return {"features": ones, "embedding": tf.concat([ones, 0 * ones], axis=-1)}


def _redness(frames):
  """A network with the pixel at 8 i as position i."""
  pixels = tf.cast(frames[:, :, ::8, ::8], tf.float32) / 256.0
  value = tf.maximum(0.0, pixels[..., :1] - pixels[..., 1:2])
  return tf.concat([value, tf.sqrt(1.0 - value**2)], axis=-1)


def _encoder(embed_audio=_embed_audio, embed_positions=_redness, **fields):
  return dataclasses.replace(
    Encoder(_CLIP, _RATE_HZ, 1, _unused, embed_audio, _unused, _unused, embed_positions), **fields
  )


def write_one_picture(path, picture, samples):
  """Writes audio with a frame of unknown duration."""
  with av.open(path, "w") as output:
    video = output.add_stream("libx264", rate=25)
    video.height, video.width, video.pix_fmt = *picture.shape[:2], "yuv420p"
    audio = output.add_stream("aac", rate=48000, layout="mono")
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    output.mux([*video.encode(frame), *video.encode(None)])
    output.mux(media_variants.encode_sound(audio, samples, "mono", 48000, 0))


class LocalizeTest(media_variants.MediaTestCase):

  def path(self, name):
    return os.path.join(self.folder, name)

  def video(self, name="in.mp4", size=(96, 160), duration_sec=3.0, **options):
    """A red square on grey, on the left in the first half and then on the right."""
    pictures = []
    for k in range(round(10 * duration_sec)):
      picture = np.full((*size, 3), 100, np.uint8)
      left = 8 if k < 5 * duration_sec else size[1] - 40
      picture[16:48, left : left + 32] = (230, 30, 30)
      pictures.append((Fraction(k, 10), picture))
    return self.write(name, pictures, duration_sec=duration_sec, **options)

  def run_job(self, source, encoder=None, **options):
    job = localize.Job(source, self.path("out.mp4"), **options)
    job.check()
    return "\n".join(localize.run(encoder or _encoder(), job))

  def heat_of(self, source, encoder=None, **options):
    """Changes of the frames, float `[frames, height, width]`, and the printed lines."""
    told = self.run_job(source, encoder, overwrite=True, **options)
    frames = []
    for path in (source, self.path("out.mp4")):
      with av.open(path) as container:
        frames.append([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    self.assertEqual(*map(len, frames))
    difference = np.stack(frames[1]).astype(int) - np.stack(frames[0])
    return np.abs(difference).mean(axis=-1), told

  def test_the_map_is_over_what_sounds(self):
    for size in ((96, 160), (160, 96), (96, 96)):
      changed, told = self.heat_of(self.video(size=size))
      self.assertEqual("overlapping squares" in told, size[0] != size[1])
      for number in (2, 27):
        left = 8 if number < 15 else size[1] - 40
        over = changed[number, 24:40, left + 8 : left + 24].mean()
        other = size[1] - 32 if number < 15 else 16
        elsewhere = changed[number, 24:40, other - 8 : other + 8].mean()
        below = changed[number, -24:].mean()
        self.assertGreater(over, 25)
        self.assertLess(max(elsewhere, below), 0.3 * over, size)

  def test_sound_that_fits_is_copied(self):
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 144000)).astype(np.float32)
    for codec, layout in (("aac", "stereo"), ("libmp3lame", "stereo"), ("ac3", "stereo")):
      source = self.video(samples=samples, layout=layout, audio_codec=codec)
      told = self.run_job(source, overwrite=True)
      self.assertIn("audio copied", told)
      packets = []
      for path in (source, self.path("out.mp4")):
        with av.open(path) as container:
          packets.append(
            [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(audio=0) if p.size]
          )
      self.assertEqual([data for _, data in packets[0]], [data for _, data in packets[1]])
      times = [[time_sec for time_sec, _ in one] for one in packets]
      np.testing.assert_allclose(times[0], times[1], atol=0.001)

  def test_sound_that_does_not_fit_is_encoded_with_all_its_channels(self):
    samples = np.stack([media_variants.sine(3.0, 48000, f)[0] for f in (300, 1000)])
    source = self.video(
      "in.mkv", samples=samples, layout="stereo", audio_codec="pcm_s16le", sound_start_sec=0.2
    )
    told = self.run_job(source)
    self.assertIn("audio re-encoded as AAC (from pcm_s16le)", told)
    with av.open(self.path("out.mp4")) as container:
      self.assertEqual(container.streams.audio[0].layout.name, "stereo")
      frames = list(container.decode(audio=0))
    found = np.concatenate([f.to_ndarray() for f in frames], axis=1)
    self.assertAlmostEqual(frames[0].time, 0.2, delta=0.03)
    for channel, expected_hz in zip(found, (300, 1000)):
      spectrum = np.abs(np.fft.rfft(channel[10_000:58_000]))
      self.assertEqual(spectrum.argmax(), expected_hz)

  def test_windows_cover_all_of_the_video_with_the_sound_around_their_middles(self):
    heard, seen = [], []

    def embed_audio(waveform):
      heard.extend(waveform.numpy()[..., 0].mean(axis=1))
      return _embed_audio(waveform)

    def embed_positions(frames):
      if len(frames) > 1:
        seen.append(frames.numpy().mean(axis=(2, 3, 4)))
      return _redness(frames)

    tf.config.run_functions_eagerly(True)
    self.addCleanup(tf.config.run_functions_eagerly, False)
    pictures = [(Fraction(k, 10), np.full((64, 64, 3), 8 * k, np.uint8)) for k in range(31)]
    # Audio with a mean over half a second that equals the time of its middle.
    ramp = (np.arange(3 * 48000, dtype=np.float32)[np.newaxis] / 48000 - 1.5) / 2
    source = self.write(
      "in.mkv", pictures, samples=ramp, duration_sec=3.0, audio_codec="pcm_f32le"
    )
    self.run_job(source, _encoder(embed_audio, embed_positions), windows_per_batch=5)
    middles_sec = 2 * np.array(heard[:11]) + 1.5
    np.testing.assert_allclose(middles_sec, 0.25 + 0.25 * np.arange(11), atol=0.01)
    # Frames of each window are 1/8 s and 3/8 s after its start.
    first = np.concatenate(seen)[:5]
    expected = np.floor((0.25 * np.arange(5)[:, None] + [0.125, 0.375]) * 10 + 1e-6)
    np.testing.assert_allclose(first, 8 * expected, atol=3)

  def test_silence_shows_nothing(self):
    samples = np.concatenate(
      [np.zeros([1, 72000]), media_variants.sine(1.5)], axis=1, dtype=np.float32
    )
    changed, _ = self.heat_of(self.video(samples=samples))
    self.assertLess(changed[:9].mean(axis=(1, 2)).max(), 2.0)
    self.assertGreater(changed[25].max(), 25)

  def test_sound_that_ends_before_the_pictures(self):
    for start_sec in (0.0, 1.5):
      source = self.video(
        samples=media_variants.sine(1.0), sound_start_sec=start_sec, name="in.mkv"
      )
      changed, _ = self.heat_of(source)
      self.assertEqual(len(changed), 30)

  def test_eyes_and_tracks(self):
    eyes = self.write("eyes.mp4", spatial_files.two_eyes("top-bottom"), duration_sec=2.0)
    spatial_files.change_mp4(eyes, [spatial_files.st3d(1)])
    told = self.run_job(eyes)
    self.assertIn("Note: stereoscopic according to the file (top-bottom)", told)
    with av.open(self.path("out.mp4")) as container:
      video = container.streams.video[0]
      self.assertEqual((video.height, video.width), (64, 128))
    os.remove(self.path("out.mp4"))
    tones = [(media_variants.sine(2.0, 48000, f), "mono") for f in (500, 900)]
    source = spatial_files.write_tracks(self.path("two.mkv"), tones, default=0)
    for options, tone_hz in (({}, 500), ({"audio_track": 2}, 900)):
      self.run_job(source, overwrite=True, **options)
      with av.open(self.path("out.mp4")) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
      spectrum = np.abs(np.fft.rfft(heard[9600:57600]))
      self.assertEqual(np.argmax(spectrum), tone_hz)

  def test_the_last_picture_stays_while_there_is_sound(self):
    samples = media_variants.sine(5.0)
    samples[0, : round(4.0 * 48000)] = 0
    source = self.video(samples=samples, name="in.mkv")
    self.run_job(source)
    with av.open(self.path("out.mp4")) as container:
      frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    self.assertAlmostEqual(frames[-1][0], 4.9, delta=0.3)
    # The square of the last frame is drawn over when the audio starts.
    at_rest, heard = (
      next(p for t, p in frames if t >= at_sec)[24:40, 128:144].astype(int) for at_sec in (3.3, 4.5)
    )
    self.assertGreater(np.abs(heard - at_rest).mean(), 25)

  def test_one_picture(self):
    picture = np.full((96, 160, 3), 100, np.uint8)
    picture[16:48, 8:40] = (230, 30, 30)
    for name in ("in.mkv", "in.mp4"):
      source = self.path(name)
      write_one_picture(source, picture, media_variants.sine(3.0))
      self.run_job(source, overwrite=True)
      with av.open(self.path("out.mp4")) as container:
        times_sec = [frame.time for frame in container.decode(video=0)]
      self.assertGreater(len(times_sec), 10)
      self.assertGreater(times_sec[-1], 2.5)

  @parameterized.parameters(
    ("in.avi", "libmp3lame", 11025, "mono", "mpeg4"),
    ("in.avi", "libmp3lame", 8000, "stereo", "mpeg4"),
    ("in.avi", "pcm_u8", 11024, "mono", "mpeg4"),
    ("in.mov", "pcm_s24le", 192000, "stereo", "libx264"),
    ("in.mkv", "flac", 96000, "7.1", "libx264"),
    ("in.mkv", "pcm_s16le", 44100, "5.1", "libx264"),
    ("in.mpg", "mp2", 48000, "stereo", "mpeg2video"),
    ("in.mkv", "flac", 16000, "5.1(side)", "libx264"),
    ("in.mkv", "pcm_s16le", 48000, "9 channels", "libx264"),
  )
  def test_sound_that_mp4_cannot_hold(self, name, codec, rate_hz, layout, video_codec):
    count = av.AudioLayout(layout).nb_channels
    tones = [media_variants.sine(3.0, rate_hz, 300)[0] for _ in range(count)]
    source = self.video(
      name, samples=np.stack(tones), layout=layout, samples_rate_hz=rate_hz, audio_codec=codec,
      audio_rate_hz=rate_hz, video_codec=video_codec,
      time_base=Fraction(1, 25 if name.endswith(("avi", "mpg")) else 1000),
    )  # fmt: skip
    told = self.run_job(source)
    self.assertIn("audio re-encoded as AAC", told)
    with av.open(self.path("out.mp4")) as container:
      self.assertEqual(container.streams.audio[0].codec_context.name, "aac")
      frames = list(container.decode(audio=0))
    heard = np.concatenate([media_sound.to_float(f) for f in frames], axis=1)
    self.assertAlmostEqual(heard.shape[1] / frames[0].sample_rate, 3.0, delta=0.2)
    spectrum = np.abs(np.fft.rfft(heard[0, 20_000:68_000]))
    self.assertAlmostEqual(spectrum.argmax(), 300, delta=1)

  def test_large_pictures_are_scaled(self):
    self.run_job(self.video(size=(200, 300)), output_height=101)
    with av.open(self.path("out.mp4")) as container:
      video = container.streams.video[0]
      self.assertEqual((video.height, video.width), (100, 150))

  def test_a_network_of_360_clips_says_what_it_takes_the_video_for(self):
    model = tiny_alignment.built_network()
    encoder = Encoder.of_model(model, tiny_alignment.CLIP, 8000, 4)
    changed, told = self.heat_of(self.video(), encoder)
    self.assertIn("trained on 360° video", told)
    self.assertGreater(changed.max(), 10)

  def test_mistakes_are_told_before_the_work(self):
    source = self.video()
    silent = self.path("silent.mp4")
    pictures = [(Fraction(k, 10), np.zeros([32, 32, 3], np.uint8)) for k in range(9)]
    media_variants.write_media(silent, pictures, None)
    blind = self.path("blind.mp4")
    media_variants.write_media(blind, None, media_variants.sine(1.0))
    with open(self.path("there.mp4"), "wb"):
      pass
    cases = {
      "no such file": (self.path("nowhere.mp4"), "out.mp4"),
      "no audio stream": (silent, "out.mp4"),
      "no video stream": (blind, "out.mp4"),
      "expected a name that ends in .mp4": (source, "out.avi"),
      "Pass --overwrite": (source, "there.mp4"),
      "is the input file": (source, "in.mp4"),
      "no such folder": (source, "no/out.mp4"),
    }
    for message, (path, output) in cases.items():
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        localize.Job(path, self.path(output)).check()
    with self.assertRaisesRegex(ValueError, "has 1 channel.*requires 2"):
      self.run_job(source, _encoder(num_channels=2))
    self.assertFalse(os.path.exists(self.path("out.mp4")))


if __name__ == "__main__":
  unittest.main()

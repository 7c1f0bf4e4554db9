"""Tests of generating the sound field of a 360° video, with generators of known directions."""

import os
import unittest
from fractions import Fraction
from unittest import mock

import av
import numpy as np
from scipy.io import wavfile

from avssl_tf.applications import spatialize
from avssl_tf.data.media import media_writing
from avssl_tf.data.metadata import spatial_media
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.errors import UserError
from avssl_tf.inference.generator import Generator
from avssl_tf.spatial import ambisonics
from tests import media_variants, spatial_files

_RATE_HZ = 16000
_CLIP = ClipSpec(num_frames=2, frame_rate_hz=4.0, frame_size=16, audio_sec=0.5, panorama=True)
# Y, Z and X of a source, and an impossible X: it is louder than W.
_WEIGHTS = np.float32([0.0, 0.6, -0.3, 2.5])


def _generate(batch):
  return batch["audio"] * _WEIGHTS


class SpatializeTest(media_variants.MediaTestCase):

  def setUp(self):
    super().setUp()
    self.generator = Generator(_CLIP, _RATE_HZ, _generate)

  def path(self, name):
    return os.path.join(self.folder, name)

  def video(self, name="in.mp4", duration_sec=2.0, start_sec=0.0, size=(64, 128), **options):
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(60, 200, (size[0] // 8, size[1] // 8, 3)), np.ones((8, 8, 1)))
    count = round(duration_sec * 10)
    pictures = [
      (Fraction(start_sec) + Fraction(k, 10), np.roll(picture, 8 * k, axis=1).astype(np.uint8))
      for k in range(count)
    ]
    return self.write(name, pictures, duration_sec=duration_sec, **options)

  def run_job(self, source, *outputs, **options):
    job = spatialize.Job(source, [self.path(name) for name in outputs], **options)
    job.check()
    return "\n".join(spatialize.run(self.generator, job))

  def assert_nothing_else(self, *names):
    self.assertEqual(sorted(os.listdir(self.folder)), sorted(names))

  def test_all_outputs_of_one_video(self):
    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.4, 0.4, (2, 96000)).astype(np.float32)
    source = self.video(samples=sound, layout="stereo")
    told = self.run_job(source, "a.wav", "a.mp4", overlay=self.path("map.mp4"))
    self.assert_nothing_else("in.mp4", "a.wav", "a.mp4", "map.mp4")
    for words in (
      "mix of its 2 channels", "peak", "video copied (h264)", "attenuated by", "real time"
    ):  # fmt: skip
      self.assertIn(words, told)

    rate_hz, field = wavfile.read(self.path("a.wav"))
    self.assertEqual((rate_hz, field.shape), (_RATE_HZ, (2 * _RATE_HZ, 4)))
    np.testing.assert_allclose(field[:, 1:], field[:, :1] * _WEIGHTS[1:], atol=1e-6)

    with av.open(source) as before, av.open(self.path("a.mp4")) as after:
      packets = [[bytes(p) for p in c.demux(video=0) if p.size] for c in (before, after)]
    self.assertEqual(packets[0], packets[1])
    self.assertEqual(spatial_files.components_of(self.path("a.mp4")), (0, 1, 2, 3))
    with av.open(self.path("a.mp4")) as container:
      samples = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    # One gain for all channels: the loudest one is not clipped, and directions are unchanged.
    self.assertLess(np.abs(samples).max(), 1.0)
    self.assertGreater(np.abs(samples).max(), 0.7)
    inner = samples[:, 4800:90000]
    weights = inner @ inner[0] / (inner[0] @ inner[0])
    np.testing.assert_allclose(weights[1:], _WEIGHTS[1:], atol=0.02)

    with av.open(self.path("map.mp4")) as container:
      video, audio = container.streams.video[0], container.streams.audio[0]
      self.assertEqual((video.codec_context.name, video.pix_fmt), ("h264", "yuv420p"))
      self.assertEqual((video.height, video.width), (64, 128))
      self.assertEqual((audio.codec_context.name, audio.layout.name), ("aac", "stereo"))
      frames = list(container.decode(video=0))
      container.seek(0)
      stereo = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    self.assertEqual(len(frames), 20)
    # From the left: W + Y against W - Y.
    left, right = stereo[:, 4800:90000].std(axis=1)
    self.assertAlmostEqual(left / right, 1.6 / 0.4, delta=0.1)
    self.assertLess(np.abs(stereo).max(), 1.0)

  def test_two_eyes(self):
    seen = []

    def generate(batch):
      seen.extend(batch["video"].numpy().reshape(-1, 3))
      return _generate(batch)

    self.generator = Generator(_CLIP, _RATE_HZ, generate)
    pictures = spatial_files.two_eyes("top-bottom")
    source = self.write("in.mp4", pictures, duration_sec=2.0)
    spatial_files.change_mp4(source, [spatial_files.st3d(1), spatial_files.sv3d()])
    told = self.run_job(source, "out.mp4", overlay=self.path("map.mp4"))
    self.assertIn("Note: stereoscopic according to the file (top-bottom)", told)
    self.assertIn("video copied (h264) with both eyes (top-bottom)", told)
    self.assertLess(np.abs(np.subtract(seen, (200, 0, 0), dtype=np.float32)).max(), 20)
    said = spatial_files.said_of(self.path("out.mp4"))
    self.assertEqual((said.packing, said.projection), ("top-bottom", "equirectangular"))
    with open(self.path("out.mp4"), "rb") as f:
      self.assertIn(b"<GSpherical:StereoMode>top-bottom<", f.read())
    for name, size in (("out.mp4", (128, 128)), ("map.mp4", (64, 128))):
      with av.open(self.path(name)) as container:
        video = container.streams.video[0]
        self.assertEqual((video.height, video.width), size)

  def test_pictures_of_two_eyes_that_are_encoded_again_show_one(self):
    pictures = spatial_files.two_eyes("left-right")
    source = self.write(
      "in.mkv", pictures, duration_sec=2.0, container_options=spatial_files.ROOM
    )
    # The right eye is on the left: no MP4 metadata that all players support describes this.
    spatial_files.change_matroska(source, stereo_mode=11, projection=spatial_files.projection(1))
    told = self.run_job(source, "out.mp4")
    self.assertIn("re-encoded as H.264, ambisonics", told)
    said = spatial_files.said_of(self.path("out.mp4"))
    self.assertEqual((said.packing, said.projection), ("mono", "equirectangular"))
    with av.open(self.path("out.mp4")) as container:
      picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    self.assertEqual(picture.shape, (64, 128, 3))
    np.testing.assert_allclose(picture[30, 60], (0, 0, 200), atol=12)

  def test_what_the_file_says_against_the_flags(self):
    source = self.video()
    spatial_files.change_mp4(source, [spatial_files.st3d(2)])
    with self.assertRaisesRegex(ValueError, r"in.mp4: two eyes \(left-right\) of 64x64 pixels"):
      self.run_job(source, "out.mp4")
    with self.assertRaisesRegex(ValueError, "'left-right', but --stereo_mode=mono was requested"):
      self.run_job(source, "out.mp4", stereo_mode="mono")
    with self.assertRaisesRegex(ValueError, "--audio_track=2, but the file has 1 audio track: 1"):
      self.run_job(self.video("plain.mp4"), "out.mp4", audio_track=2)

  def test_frames_are_those_in_the_middles_of_their_parts_of_the_sound(self):
    seen = []

    def generate(batch):
      seen.extend(batch["video"].numpy().mean(axis=(2, 3, 4)))
      return _generate(batch)

    self.generator = Generator(_CLIP, _RATE_HZ, generate)
    pictures = [(Fraction(k, 10), np.full((64, 128, 3), 20 + 20 * k, np.uint8)) for k in range(10)]
    self.run_job(self.write("in.mp4", pictures, duration_sec=1.0), "a.wav")
    # Two frames in the first half second, at 1/8 and 3/8 s, then every quarter.
    np.testing.assert_allclose(seen[0], [40, 80], atol=4)
    np.testing.assert_allclose(seen[1], [80, 140], atol=4)

  def test_the_overlay_is_where_sound_comes_from(self):
    direction = np.deg2rad([[-90.0], [0.0]]).astype(np.float32)

    def from_the_right(batch):
      return ambisonics.encode(batch["audio"], *direction)

    self.generator = Generator(_CLIP, _RATE_HZ, from_the_right)
    source = self.video()
    self.run_job(source, overlay=self.path("map.mp4"), overlay_height=32)
    frames = []
    for path in (source, self.path("map.mp4")):
      with av.open(path) as container:
        picture = list(container.decode(video=0))[10]
        frames.append(picture.to_ndarray(format="rgb24", width=64, height=32).astype(float))
    changed = np.abs(frames[1] - frames[0]).mean(axis=(0, 2))
    self.assertGreater(changed[40:56].mean(), 3 * changed[:24].mean())

  def test_a_sound_that_starts_later_and_ends_sooner_than_the_pictures(self):
    sound = np.zeros((1, 38400), np.float32)
    sound[0, 19200:19400] = 0.3
    source = self.video("in.mkv", samples=sound, sound_start_sec=0.6, start_sec=0.1,
                        audio_codec="flac")  # fmt: skip
    told = self.run_job(source, "a.wav", "a.mp4", overlay=self.path("map.mp4"))
    self.assertIn("0.8 s in", told)
    _, field = wavfile.read(self.path("a.wav"))
    self.assertEqual(len(field), round(0.8 * _RATE_HZ))
    for name in ("a.mp4", "map.mp4"):
      with av.open(self.path(name)) as container:
        pictures = [f.time for f in container.decode(video=0)]
        container.seek(0)
        frames = list(container.decode(audio=0))
      np.testing.assert_allclose(pictures, np.arange(20) / 10, atol=2e-3)
      samples = np.concatenate([f.to_ndarray() for f in frames], axis=1)
      click_sec = frames[0].time + np.argmax(np.abs(samples[0])) / 48000
      self.assertAlmostEqual(click_sec, 0.5 + 0.4, delta=0.02)

  def test_a_sound_longer_than_the_pictures_and_one_shorter_than_a_chunk(self):
    for name, duration_sec in (("long", 3.0), ("short", 0.2)):
      sound = media_variants.sine(duration_sec)
      source = self.video(f"{name}.mkv", 1.0, samples=sound, audio_codec="flac")
      self.run_job(source, f"{name}.wav", f"{name}.mp4")
      _, field = wavfile.read(self.path(f"{name}.wav"))
      self.assertEqual(len(field), round(duration_sec * _RATE_HZ))
      np.testing.assert_allclose(field[:, 1], 0.6 * field[:, 0], atol=1e-6)

  def test_pictures_that_cannot_be_copied_are_encoded_anew(self):
    cases = (
      ("a.mkv", (64, 128), "equirectangular", {"video_codec": "ffv1", "pixel_format": "yuv444p"}),
      ("cubes.mp4", (64, 96), "cubemap", {}),
      ("b.avi", (64, 128), "equirectangular", {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"}),
      ("turned.mp4", (64, 128), "equirectangular", {}),
    )
    for name, size, projection, options in cases:
      source = self.video(name, size=size, **options)
      if name == "turned.mp4":
        media_variants.set_rotation(source, 180)
      told = self.run_job(source, "out.mp4", projection=projection, overwrite=True)
      self.assertIn("re-encoded as H.264", told)
      with av.open(self.path("out.mp4")) as container:
        video = container.streams.video[0]
        self.assertEqual((video.codec_context.name, video.height, video.width), ("h264", 64, 128))
        self.assertEqual(len(list(container.decode(video=0))), 20)
      self.assertIsNotNone(spatial_files.components_of(self.path("out.mp4")))

  def test_ambisonics_and_damage_are_told(self):
    tones = np.concatenate([media_variants.sine(2.0, 48000, f) for f in (300, 700, 1500, 4000)])
    source = self.video(samples=tones, layout="4.0", keyframe_interval=1)
    media_variants.damage(source, "audio", 40)
    told = self.run_job(source, "a.wav")
    self.assertIn("the first of its 4 channels, read as the W channel of ambisonics", told)
    self.assertRegex(told, r"Damaged: \d+ part\(s\) of the audio|Gaps in the audio")
    _, field = wavfile.read(self.path("a.wav"))
    self.assertEqual(len(field), 2 * _RATE_HZ)
    self.assertEqual(np.argmax(np.abs(np.fft.rfft(field[:_RATE_HZ // 2, 0]))), 150)
    # The output can be used as input: its metadata states which channel is W.
    clean = self.video("clean.mp4", samples=tones, layout="4.0")
    self.run_job(clean, "once.mp4")
    told = self.run_job(self.path("once.mp4"), "twice.wav")
    self.assertIn("the W channel of its ambisonics", told)

  def test_nothing_is_left_of_what_fails_on_the_way(self):
    source = self.video(duration_sec=3.0)
    with open(self.path("old.wav"), "wb") as f:
      f.write(b"old")

    def stop(*unused):
      raise KeyboardInterrupt

    def fail(*unused):
      raise OSError(28, "No space left on device")

    calls = []

    def generate(batch):
      calls.append(None)
      if len(calls) > 1:
        stop()
      return _generate(batch)

    outputs = [self.path("old.wav"), self.path("new.mp4")]
    job = spatialize.Job(source, outputs, self.path("map.mp4"), overwrite=True)
    with self.assertRaises(KeyboardInterrupt):
      spatialize.run(Generator(_CLIP, _RATE_HZ, generate), job)
    for module, name, error, expected in (
      (media_writing, "write_wav", fail, "old.wav cannot be written: No space left on device"),
      (media_writing, "write_encoded_mp4", fail, "map.mp4 cannot be written: No space"),
      (spatial_media, "mark", stop, None),
    ):
      with self.subTest(name), mock.patch.object(module, name, error):
        with self.assertRaises(KeyboardInterrupt if expected is None else UserError) as caught:
          spatialize.run(self.generator, job)
        self.assertIn(expected or "", str(caught.exception))
      self.assert_nothing_else("in.mp4", "old.wav")
    with open(self.path("old.wav"), "rb") as f:
      self.assertEqual(f.read(), b"old")

  def test_mistakes_are_told_before_the_work(self):
    source = self.video()
    flat = self.video("flat.mp4", size=(64, 96))
    silent = self.path("silent.mp4")
    media_variants.write_media(silent, [(0, np.zeros((16, 32, 3), np.uint8))] * 1 + [
      (0.1, np.zeros((16, 32, 3), np.uint8))], None)  # fmt: skip
    text = self.path("text.mp4")
    with open(text, "w", encoding="utf-8") as f:
      f.write("This is not a video.\n" * 40)
    sound = self.path("sound.wav")
    media_variants.write_media(sound, None, media_variants.sine(0.5), audio_codec="pcm_s16le")
    wav, map_ = self.path("x.wav"), self.path("m.mp4")
    for job, message in (
      (spatialize.Job(source), "Nothing to write: pass --output"),
      (spatialize.Job("nowhere.mp4", [wav]), "--input=nowhere.mp4: no such file"),
      (spatialize.Job(source, [self.path("x.ogg")]), "x.ogg: expected a name that ends in .wav or"),
      (spatialize.Job(source, [wav], self.path("m.gif")), "--overlay=.*gif: expected a name"),
      (spatialize.Job(source, ["/nowhere/x.wav"]), "no such folder '/nowhere'"),
      (spatialize.Job(source, [wav, wav]), "x.wav occurs twice"),
      (spatialize.Job(source, [map_], map_), "m.mp4 occurs twice"),
      (spatialize.Job(source, [source]), "is the input file"),
      (spatialize.Job(source, [source], overwrite=True), "is the input file"),
      (spatialize.Job(source, [flat]), "already exists. Pass --overwrite"),
      (spatialize.Job(flat, [wav]), "frames are 96x64.*--projection=cubemap"),
      (spatialize.Job(source, [wav], projection="cubemap"), "--projection=equirectangular"),
      (spatialize.Job(silent, [wav]), "--input=.*silent.mp4: no audio stream"),
      (spatialize.Job(sound, [wav]), "--input=.*sound.wav: no video stream"),
      (spatialize.Job(text, [wav]), "--input=.*text.mp4: not a video"),
    ):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        job.check()
    self.assertFalse(os.path.exists(wav))


if __name__ == "__main__":
  unittest.main()

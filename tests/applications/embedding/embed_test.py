"""Tests of embedding folders of files: outputs, failures and resuming."""

import json
import os
import shutil
from unittest import mock

import numpy as np
from absl.testing import absltest

from avssl_tf.applications.embedding import (
  embed,
  embedding_file,
  embedding_parts,
  file_embedding,
  window_features,
)
from avssl_tf.data.media import clip_reading, media_probe
from tests import colour_encoder, hostile_media, media_variants, spatial_files

_WEIGHTS = "ckpt-7 0123456789ab"
_COLORS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


def _pictures(color, duration_sec):
  picture = np.full((32, 48, 3), _COLORS[color], np.uint8)
  return [(k / 10, picture) for k in range(round(duration_sec * 10))]


def _tone(color, duration_sec):
  frequency_hz = dict(zip(_COLORS, colour_encoder.TONES_HZ))[color]
  return media_variants.sine(duration_sec, frequency_hz=frequency_hz)


class EmbedTest(media_variants.MediaTestCase):

  def setUp(self):
    super().setUp()
    self.media = os.path.join(self.folder, "media")
    os.makedirs(os.path.join(self.media, "deep", "er"))
    self.output = os.path.join(self.folder, "out.npz")
    self.encoder = colour_encoder.make()

  def film(self, name, color="red", duration_sec=2.0, tone=None):
    tone = None if tone is None else _tone(tone, duration_sec)
    path = os.path.join(self.media, name)
    media_variants.write_media(path, _pictures(color, duration_sec), tone, audio_codec="flac")
    return path

  def sound(self, name, tone, duration_sec=2.0):
    path = os.path.join(self.media, name)
    media_variants.write_media(path, None, _tone(tone, duration_sec), audio_codec="flac")

  def text(self, name):
    with open(os.path.join(self.media, name), "w", encoding="utf-8") as f:
      f.write("This is not a video.\n")

  def embed(self, weights=_WEIGHTS, **options):
    options = {"input": self.media, "output": self.output, **options}
    job = embed.Job(**options)
    job.check()
    return "\n".join(embed.run(self.encoder, weights, "runs/colours", job))

  def test_of_two_eyes_the_left_one_is_embedded(self):
    eyes = np.zeros((64, 48, 3), np.uint8)
    eyes[:32], eyes[32:] = _COLORS["green"], _COLORS["blue"]
    path = os.path.join(self.media, "eyes.mp4")
    pictures = [(k / 10, eyes) for k in range(20)]
    media_variants.write_media(path, pictures, _tone("red", 2.0))
    self.film("green.mp4", "green", tone="red")
    told = self.embed()
    self.assertNotIn("eyes", told)
    os.remove(self.output)
    spatial_files.change_mp4(path, [spatial_files.st3d(1)])
    told = self.embed()
    self.assertIn("1 file(s), such as", told)
    self.assertIn("(top-bottom): the left eye is used", told)
    arrays = self.arrays()
    by_file = {str(i): e for i, e in zip(arrays["id"], arrays["video_embeddings"])}
    np.testing.assert_allclose(by_file["eyes.mp4"], by_file["green.mp4"], atol=0.02)

  def test_another_sound_track(self):
    path = os.path.join(self.media, "two.mkv")
    sounds = [(_tone(color, 2.0), "mono") for color in ("red", "blue")]
    spatial_files.write_tracks(path, sounds, default=1)
    self.sound("blue.mkv", "blue")
    self.sound("red.mkv", "red")
    self.embed()
    found = self.arrays()
    by_file = {str(i): e for i, e in zip(found["id"], found["audio_embeddings"])}
    np.testing.assert_allclose(by_file["two.mkv"], by_file["blue.mkv"], atol=0.01)
    os.remove(self.output)
    self.embed(audio_track=1)
    found = self.arrays()
    by_file = {str(i): e for i, e in zip(found["id"], found["audio_embeddings"])}
    np.testing.assert_allclose(by_file["two.mkv"], by_file["red.mkv"], atol=0.01)

  def arrays(self):
    with np.load(self.output) as arrays:
      return dict(arrays)

  def assert_only_output(self, *others):
    self.assertEqual(sorted(os.listdir(self.folder)), sorted(["media", "out.npz", *others]))

  def failures(self):
    with open(os.path.join(self.folder, "out.failures.jsonl"), encoding="utf-8") as f:
      return {os.path.basename(r["path"]): r["reason"] for r in map(json.loads, f)}

  def test_files_that_ask_for_much(self):
    times = [*hostile_media.SECOND, *(t + 315360000 for t in hostile_media.SECOND)]
    self.film("good.mkv", "blue", 2.0, tone="red")
    hostile_media.write_wav(os.path.join(self.media, "rate.wav"), 1)
    hostile_media.write_at(os.path.join(self.media, "years.mkv"), times, times)
    wide = os.path.join(self.media, "wide.mkv")
    hostile_media.write_at(wide, times[:10], times[:10], (16, 16000))
    os.mkfifo(os.path.join(self.media, "pipe.mp4"))
    os.symlink("..", os.path.join(self.media, "deep", "up"))
    told = self.embed()
    self.assertIn("2 windows of 1 file(s)", told)
    self.assertIn("already listed are skipped: 1, such as 'deep/up'", told)
    self.assertEqual(
      {name: reason.split(":")[0] for name, reason in self.failures().items()},
      {
        "rate.wav": "sample rate out of bounds",
        "years.mkv": "too long",
        "wide.mkv": "frames too narrow",
        "pipe.mp4": "not a regular file",
      },
    )

  def test_any_exception_is_a_failure_of_its_file(self):
    self.film("a.mkv", "blue", 2.0, tone="red")
    self.film("b.mkv", "red", 2.0, tone="red")
    self.film("c.mkv", "red", 2.0, tone="red")
    probe, read_clip = media_probe.probe, clip_reading.read_clip

    def bad_probe(path, *args, **options):
      if path.endswith("b.mkv"):
        raise ZeroDivisionError("division by zero")
      return probe(path, *args, **options)

    def bad_read(path, *args, **options):
      if path.endswith("c.mkv"):
        raise MemoryError("no memory")
      return read_clip(path, *args, **options)

    with mock.patch.object(media_probe, "probe", bad_probe), mock.patch.object(
      clip_reading, "read_clip", bad_read
    ):
      self.assertIn("2 windows of 1 file(s)", self.embed())
    self.assertEqual(
      self.failures(),
      {
        "b.mkv": "unexpected ZeroDivisionError: division by zero",
        "c.mkv": "out of memory: no memory",
      },
    )
    self.film("d.mkv", "red", 2.0)
    for stop in (KeyboardInterrupt, SystemExit):
      with mock.patch.object(media_probe, "probe", side_effect=stop), self.assertRaises(stop):
        self.embed(overwrite=True)

  def test_a_folder(self):
    self.film("b.mkv", "blue", 2.7, tone="red")
    self.film("deep/silent.mkv", "green", 1.0)
    self.sound("deep/er/a.flac", "green", 2.0)
    shutil.copy(media_variants.SOURCE, os.path.join(self.media, "deep", "real.mp4"))
    self.text("notes.txt")
    told = self.embed(batch_size=4)
    self.assert_only_output()
    self.assertIn("Wrote", told)
    self.assertIn("11 windows of 4 file(s), 9 with video and 10 with audio", told)

    found = self.arrays()
    about = json.loads(str(found.pop("about")))
    self.assertEqual(about["weights"], _WEIGHTS)
    self.assertEqual(about["input"], self.media)
    self.assertEqual(
      [about[name] for name in ("window_sec", "video_sec", "audio_sec", "stride_sec")],
      [1.0, 0.5, 1.0, 1.0],
    )
    self.assertEqual(tuple(found), embedding_file.ROWS)
    names = ["b.mkv"] * 3 + ["deep/er/a.flac"] * 2 + ["deep/real.mp4"] * 5 + ["deep/silent.mkv"]
    self.assertEqual(found["id"].tolist(), names)
    np.testing.assert_allclose(found["start_sec"][:5], [0, 1, 1.7, 0, 1], atol=0.05)
    np.testing.assert_allclose(found["end_sec"] - found["start_sec"], 1.0, atol=1e-5)
    self.assertEqual(found["has_video"].tolist(), [True] * 3 + [False] * 2 + [True] * 6)
    self.assertEqual(found["has_audio"].tolist(), [True] * 10 + [False])
    for name, size in (("features", (3, 4)), ("embeddings", (3, 3))):
      for modality, columns in zip(("video", "audio"), size):
        array = found[f"{modality}_{name}"]
        self.assertEqual((array.shape, array.dtype), ((11, columns), np.float32))
        np.testing.assert_array_equal(np.isnan(array).all(axis=1), ~found[f"has_{modality}"])
        np.testing.assert_array_equal(np.isnan(array).any(axis=1), ~found[f"has_{modality}"])
    np.testing.assert_allclose(found["video_features"][0] * 255, _COLORS["blue"], atol=6)
    np.testing.assert_allclose(found["video_features"][10] * 255, _COLORS["green"], atol=6)
    loudest = np.argmax(found["audio_embeddings"][:5], axis=1)
    self.assertEqual(loudest.tolist(), [0, 0, 0, 1, 1])

  def test_a_file(self):
    self.embed(input=self.film("a.mkv", tone="blue"), stride_sec=0.25)
    found = self.arrays()
    self.assertEqual(found["id"].tolist(), ["a.mkv"] * 5)
    np.testing.assert_allclose(found["start_sec"], [0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)

  def test_names_that_are_no_text(self):
    name = os.fsdecode(b"caf\xe9.mkv")
    shutil.copy(self.film("a.mkv"), os.path.join(self.media, name))
    shutil.copy(os.path.join(self.media, "a.mkv"), os.path.join(self.media, "große 音.mkv"))
    with open(os.path.join(self.media, f"bad{name}"), "wb"):
      pass
    self.assertIn("empty file", self.embed())
    self.assertEqual(set(self.arrays()["id"]), {"a.mkv", name, "große 音.mkv"})

  def test_batches_change_nothing(self):
    for i in range(3):
      self.film(f"{i}.mkv", "green", 1.0 + i, tone="blue")
    self.embed(batch_size=1)
    one = self.arrays()
    self.embed(batch_size=64, overwrite=True)
    for name, array in self.arrays().items():
      np.testing.assert_array_equal(array, one[name], err_msg=name)

  def test_damaged_files_are_told_and_the_others_are_there(self):
    self.film("a.mkv", tone="red")
    self.text("bad.mp4")
    with open(os.path.join(self.media, "empty.wav"), "wb"):
      pass
    media_variants.truncate(self.film("cut.mkv", "red", 8.0), 0.5)
    media_variants.write_media(
      os.path.join(self.media, "still.flac"), None, np.zeros((1, 48000), np.float32),
      audio_codec="flac",
    )  # fmt: skip
    told = self.embed()
    self.assert_only_output("out.failures.jsonl")
    self.assertEqual(set(self.arrays()["id"]), {"a.mkv"})
    with open(os.path.join(self.folder, "out.failures.jsonl"), encoding="utf-8") as f:
      failures = [json.loads(line) for line in f]
    reasons = {os.path.basename(f["path"]): f["reason"] for f in failures}
    self.assertEqual(list(reasons), ["bad.mp4", "cut.mkv", "empty.wav", "still.flac"])
    for name, words in (
      ("bad.mp4", "not a video"), ("cut.mkv", "truncated"), ("empty.wav", "empty file"),
      ("still.flac", "the audio is silent"),
    ):  # fmt: skip
      self.assertIn(words, reasons[name])
      self.assertIn(words, told)
    # Without failures, the list is deleted.
    for name in list(reasons):
      os.remove(os.path.join(self.media, name))
    self.assertNotIn("Missing", self.embed(overwrite=True))
    self.assert_only_output()

  def test_nothing_that_can_be_read(self):
    self.text("bad.mp4")
    with self.assertRaisesRegex(ValueError, "(?s)none of 1 file.*not a video.*jsonl"):
      self.embed()
    self.assertEqual(sorted(os.listdir(self.folder)), ["media", "out.failures.jsonl"])

  def interrupt_after(self, num_calls):
    """Makes the network stop at a call, as with Ctrl-C; returns the counter of its windows."""
    call = window_features.WindowFeatures.__call__
    seen = []

    def embed_windows(features, windows):
      if num_calls is not None and len(seen) == num_calls:
        raise KeyboardInterrupt
      seen.append(len(windows))
      return call(features, windows)

    return seen, mock.patch.object(window_features.WindowFeatures, "__call__", embed_windows)

  def test_an_interrupted_command_goes_on(self):
    self.film("a.mkv", "red", 3.0, tone="red")
    self.text("b.mp4")
    self.film("c.mkv", "green", 9.0, tone="blue")
    self.film("d.mkv", "blue", 2.0, tone="blue")
    self.embed(output=os.path.join(self.folder, "whole.npz"))
    with mock.patch.object(file_embedding, "_WINDOWS_PER_PART", 4):
      seen, patched = self.interrupt_after(4)
      with patched, self.assertRaises(KeyboardInterrupt):
        self.embed(batch_size=2)
      self.assertEqual(seen, [2] * 4)
      self.assertFalse(os.path.exists(self.output))
      # The file with three windows, and four of the nine windows of the next one.
      parts = [n for n in os.listdir(f"{self.output}.parts") if n.endswith(".npz")]
      self.assertCountEqual([n.partition("-")[2] for n in parts],
                            ["00000-of-00001.npz", "00000-of-00003.npz"])  # fmt: skip
      seen, patched = self.interrupt_after(None)
      with patched:
        told = self.embed(batch_size=2)
    self.assertEqual(sum(seen), 14 - 7)
    self.assertIn("1 of these file(s) had been embedded before", told)
    self.assertRegex(told, r"1  not a video.* as '.*b\.mp4'")
    with np.load(os.path.join(self.folder, "whole.npz")) as whole:
      for name, array in self.arrays().items():
        if array.dtype == np.float32:
          # Batches differ, and their last bits depend on the processor.
          np.testing.assert_allclose(array, whole[name], rtol=1e-5, atol=1e-6, err_msg=name)
        else:
          np.testing.assert_array_equal(array, whole[name], err_msg=name)
    self.assertFalse(os.path.exists(f"{self.output}.parts"))

  def test_what_has_changed_since_is_embedded_anew(self):
    for name in ("a.mkv", "b.mkv"):
      self.film(name, "red", 1.0)
    _, patched = self.interrupt_after(1)
    with patched, self.assertRaises(KeyboardInterrupt):
      self.embed(batch_size=1)
    self.film("a.mkv", "blue", 2.0)
    told = self.embed()
    self.assertNotIn("before", told)
    found = self.arrays()
    self.assertEqual(found["id"].tolist(), ["a.mkv", "a.mkv", "b.mkv"])
    self.assertEqual(np.argmax(found["video_features"], axis=1).tolist(), [2, 2, 0])

  def test_parts_of_another_network_are_refused(self):
    for name in ("a.mkv", "b.mkv"):
      self.film(name, "red", 1.0)
    _, patched = self.interrupt_after(1)
    with patched, self.assertRaises(KeyboardInterrupt):
      self.embed(batch_size=1)
    for options, words in (
      ({"weights": "ckpt-8 ba9876543210"}, "weights: 'ckpt-7 0123456789ab' -> 'ckpt-8"),
      ({"stride_sec": 0.5}, "stride_sec: 1.0 -> 0.5"),
    ):
      with self.assertRaisesRegex(ValueError, f"(?s)with other settings.*{words}.*--overwrite"):
        self.embed(**options)
    # --overwrite deletes them; those with the same settings are kept.
    seen, patched = self.interrupt_after(None)
    with patched:
      self.embed(overwrite=True)
    self.assertEqual(sum(seen), 1)
    os.remove(self.output)
    _, patched = self.interrupt_after(1)
    with patched, self.assertRaises(KeyboardInterrupt):
      self.embed(batch_size=1)
    seen, patched = self.interrupt_after(None)
    with patched:
      self.embed(weights="ckpt-8 ba9876543210", overwrite=True)
    self.assertEqual(sum(seen), 2)

  def test_two_commands_at_once_and_a_foreign_folder(self):
    self.film("a.mkv", "red", 1.0)
    folder = f"{self.output}.parts"
    with embedding_parts.Parts(folder, {}, overwrite=False):
      with self.assertRaisesRegex(ValueError, "Another command is using"):
        self.embed()
    shutil.rmtree(folder)
    os.makedirs(folder)
    with open(os.path.join(folder, "thesis.txt"), "w", encoding="utf-8") as f:
      f.write("mine")
    with self.assertRaisesRegex(ValueError, "contains 'thesis.txt', .*Move it away"):
      self.embed(overwrite=True)
    self.assertIn("thesis.txt", os.listdir(folder))

  def test_nothing_of_others_is_deleted_or_emptied(self):
    self.film("a.mkv", "red", 1.0)
    folder, elsewhere = f"{self.output}.parts", f"{self.output}.elsewhere"
    os.makedirs(elsewhere)
    part = f"{'0' * 20}-00000-of-00001.npz"
    victims = [os.path.join(elsewhere, name) for name in (part, "settings.json", "lock")]
    for path in victims:
      with open(path, "w", encoding="utf-8") as f:
        f.write("mine")

    def assert_refused(message):
      for overwrite in (False, True):
        with self.assertRaisesRegex(ValueError, message):
          self.embed(overwrite=overwrite)
      for path in victims:
        with open(path, encoding="utf-8") as f:
          self.assertEqual(f.read(), "mine")

    os.symlink(elsewhere, folder)
    assert_refused(f"{folder} is a symbolic link to")
    os.remove(folder)
    os.mkdir(folder)
    for path in victims:
      link = os.path.join(folder, os.path.basename(path))
      os.symlink(path, link)
      assert_refused(f"contains '{os.path.basename(path)}'")
      os.remove(link)
    victims.append(os.path.join(folder, part))  # Without the settings file that marks the folder.
    shutil.copy(victims[0], victims[-1])
    assert_refused(f"contains '{part}', .*no settings.json")
    os.remove(victims.pop())
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8"):
      pass  # From an earlier version.
    self.embed()
    self.assertFalse(os.path.exists(folder))

  def test_a_list_of_failures_of_somebody_else(self):
    self.film("a.mkv", "red", 1.0)
    path = f"{os.path.splitext(self.output)[0]}.failures.jsonl"
    for text in ("mine", '{"path": "a"}\n', "[1]"):
      with open(path, "w", encoding="utf-8") as f:
        f.write(text)
      with self.assertRaisesRegex(ValueError, f"{path} exists but is not a list of failures"):
        self.embed(overwrite=True)
    os.remove(path)
    self.text("b.mp4")
    self.embed()
    self.assertTrue(os.path.exists(path))
    self.embed(overwrite=True)  # Its own list is replaced.

  def test_flags_that_make_no_sense(self):
    self.film("a.mkv", "red", 1.0)
    for options, words in (
      ({"input": "nowhere"}, "--input=nowhere: no such"),
      ({"output": "out.csv"}, "--output=out.csv: expected a name that ends in .npz or .parquet"),
      ({"ray_address": "auto"}, "--ray_address=auto requires --engine=ray"),
      ({"stride_sec": 0.0}, "--stride_sec=0.0; expected more"),
      ({"batch_size": 0}, "--batch_size=0; expected 1"),
    ):
      with self.assertRaisesRegex(ValueError, words):
        self.embed(**options)
    os.remove(os.path.join(self.media, "a.mkv"))
    with self.assertRaisesRegex(ValueError, "no media files in that folder. Expected .* .3gp"):
      self.embed()
    with open(self.output, "wb"):
      pass
    with self.assertRaisesRegex(ValueError, "already exists. Pass --overwrite"):
      self.embed()


if __name__ == "__main__":
  absltest.main()

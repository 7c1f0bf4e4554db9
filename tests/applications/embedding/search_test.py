"""Tests of searching embedding files: across and within modalities, and invalid input."""

import csv
import json
import os

import cv2
import numpy as np
from absl.testing import absltest

from avssl_tf.applications.embedding import embed, index, search
from tests import colour_encoder, media_variants

_WEIGHTS = "ckpt-7 0123456789ab"
_COLORS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


def _pictures(colors):
  """One second of each colour."""
  return [
    (i + k / 10, np.full((32, 48, 3), _COLORS[color], np.uint8))
    for i, color in enumerate(colors)
    for k in range(10)
  ]


def _tones(colors):
  frequencies = dict(zip(_COLORS, colour_encoder.TONES_HZ))
  return np.concatenate(
    [media_variants.sine(1.0, frequency_hz=frequencies[color]) for color in colors], axis=1
  )


class SearchTest(media_variants.MediaTestCase):

  def setUp(self):
    super().setUp()
    self.encoder = colour_encoder.make()
    self.media = os.path.join(self.folder, "media")
    self.index = os.path.join(self.folder, "index.npz")
    os.mkdir(self.media)

  def file(self, name, colors=None, tones=None, folder=None):
    path = os.path.join(folder or self.media, name)
    pictures = None if colors is None else _pictures(colors)
    tones = None if tones is None else _tones(tones)
    media_variants.write_media(path, pictures, tones, audio_codec="flac")
    return path

  def query(self, name, **options):
    return self.file(name, folder=self.folder, **options)

  def make_index(self):
    job = embed.Job(self.media, self.index)
    job.check()
    embed.run(self.encoder, _WEIGHTS, "runs/colours", job)

  def make_colours(self):
    """Silent films of one colour, tones, and a film with audio of another colour."""
    for color in _COLORS:
      self.file(f"{color}.mkv", colors=[color, color])
      self.file(f"{color}.flac", tones=[color])
    self.file("mixed.mkv", colors=["red", "green", "blue"], tones=["blue", "blue", "blue"])
    self.make_index()

  def search(self, query, weights=_WEIGHTS, **options):
    options = {"index": self.index, "query": query, **options}
    output = os.path.join(self.folder, "found.json")
    job = search.Job(output=output, overwrite=True, **options)
    job.check()
    self.told = "\n".join(search.run(self.encoder, weights, job))
    with open(output, encoding="utf-8") as f:
      return json.load(f)

  def found(self, query, **options):
    return [result["file"] for result in self.search(query, **options)["results"]]

  def test_a_sound_finds_videos(self):
    self.make_colours()
    for color in _COLORS:
      found = self.search(self.query(f"query_{color}.mka", tones=[color]), top=2)
      self.assertEqual((found["query_modality"], found["find"]), ("audio", "video"))
      # A window of the film with all colours is as near as the film of this colour.
      self.assertCountEqual([r["file"] for r in found["results"]], [f"{color}.mkv", "mixed.mkv"])
      self.assertEqual([result["rank"] for result in found["results"]], [1, 2])
      window = next(r for r in found["results"] if r["file"] == "mixed.mkv")
      self.assertAlmostEqual(window["start_sec"], list(_COLORS).index(color), delta=0.01)
      self.assertGreater(found["results"][1]["similarity"], 0.9)

  def test_a_video_finds_sounds(self):
    self.make_colours()
    for tones in (None, ["red"]):
      query = self.query("query.mkv", colors=["green"], tones=tones)
      found = self.search(query, top=4)
      self.assertEqual((found["query_modality"], found["find"]), ("video", "audio"))
      self.assertEqual(found["results"][0]["file"], "green.flac")
      self.assertLess(found["results"][1]["similarity"], 0.5)
      # Silent films are not found.
      files = [result["file"] for result in found["results"]]
      self.assertCountEqual(files, ["red.flac", "green.flac", "blue.flac", "mixed.mkv"])
    self.assertIn(f"Audio windows in {self.index} nearest to the video of {query}", self.told)
    self.assertRegex(self.told, r"\n   1 +0\.9\d\d +0\.0-1\.0 s  green\.flac\n")

  def test_other_modalities(self):
    self.make_colours()
    query = self.query("query.mkv", colors=["green"], tones=["red"])
    options = {"query_modality": "audio", "top": 1}
    self.assertEqual(self.found(query, find="audio", **options), ["red.flac"])
    self.assertIn(self.found(query, **options)[0], ("red.mkv", "mixed.mkv"))
    self.assertIn(self.found(query, find="video", top=1)[0], ("green.mkv", "mixed.mkv"))

  def test_a_part_of_a_query_and_the_mean_of_all_of_it(self):
    self.make_colours()
    query = self.query("query.mkv", colors=["red", "blue", "blue"])
    self.assertIn(self.found(query, start_sec=1.0, top=1)[0], ("blue.flac", "mixed.mkv"))
    self.assertEqual(self.found(query, end_sec=1.0, top=1), ["red.flac"])
    found = self.search(query, find="video", top=9, all_windows=True)["results"]
    windows = [(r["file"], round(r["start_sec"])) for r in found]
    # Each window is a result; the nearest to more blue than red are blue ones.
    self.assertCountEqual(windows[:3], [("blue.mkv", 0), ("blue.mkv", 1), ("mixed.mkv", 2)])
    self.assertLen(windows, 9)
    red, blue = np.array(_COLORS["red"]), np.array(_COLORS["blue"])
    mean = sum(c / np.linalg.norm(c) for c in (red, blue, blue))
    expected = mean @ blue / np.linalg.norm(mean) / np.linalg.norm(blue)
    self.assertAlmostEqual(found[0]["similarity"], expected, delta=0.02)

  def test_a_picture_finds_sounds(self):
    self.make_colours()
    path = os.path.join(self.folder, "green.png")
    picture = np.full((48, 64, 3), _COLORS["green"], np.uint8)
    cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    self.assertEqual(self.found(path, top=1), ["green.flac"])

  def test_what_is_cut_from_a_file_finds_it(self):
    # Real video and audio, in which no two windows are alike.
    times = media_variants.regular_times(25, end_sec=5.0)
    film = list(media_variants.pictures_at(times))
    sound = media_variants.source_sound()[2:3, :240000]
    options = {"video_codec": "ffv1", "pixel_format": "yuv444p", "audio_codec": "flac"}
    media_variants.write_media(os.path.join(self.media, "film.mkv"), film, sound, **options)
    backwards = [(time_sec, picture) for (time_sec, _), (_, picture) in zip(film, film[::-1])]
    path = os.path.join(self.media, "flipped.mkv")
    mirrored = [(time_sec, 255 - picture) for time_sec, picture in backwards]
    media_variants.write_media(path, mirrored, sound[:, ::-1], **options)
    self.make_index()
    cut = [(time_sec - 2, picture) for time_sec, picture in film if 2 <= time_sec < 3]
    query = os.path.join(self.folder, "cut.mkv")
    media_variants.write_media(query, cut, sound[:, 96000:144000], **options)
    for modality in ("video", "audio"):
      options = {"query_modality": modality, "find": modality}
      nearest, other = self.search(query, **options)["results"]
      self.assertEqual((nearest["file"], nearest["start_sec"]), ("film.mkv", 2.0))
      self.assertGreater(nearest["similarity"], 0.9999)
      self.assertLess(other["similarity"], nearest["similarity"])

  def test_an_index_finds_what_its_embeddings_do(self):
    self.make_colours()
    folder = os.path.join(self.folder, "made")
    index.run(index.Job(self.index, folder))
    query = self.query("query.mkv", colors=["red", "blue", "blue"])
    for options in ({}, {"find": "video", "top": 2}, {"all_windows": True, "find": "video"}):
      exact, found = (
        self.search(query, index=path, **options)["results"] for path in (self.index, folder)
      )
      for result in (*exact, *found):
        result["similarity"] = round(result["similarity"], 5)
      self.assertEqual(exact, found)
    with self.assertRaisesRegex(ValueError, "made contains embeddings of another network"):
      self.search(query, index=folder, weights="ckpt-8 00")

  def test_damage_in_a_query(self):
    self.make_colours()
    query = self.query("query.mkv", tones=["red"] * 4)
    media_variants.damage(query, "audio", 2)
    self.assertIn(self.found(query, top=1)[0], ("red.mkv", "mixed.mkv"))

  def test_what_cannot_be_searched(self):
    self.file("red.mkv", colors=["red"])
    self.make_index()
    sound = self.query("sound.mka", tones=["red"])
    video = self.query("video.mkv", colors=["red"])
    text = os.path.join(self.folder, "text.mp4")
    with open(text, "w", encoding="utf-8") as f:
      f.write("This is not a video.\n" * 10)
    silent = os.path.join(self.folder, "silent.mka")
    media_variants.write_media(silent, None, np.zeros((1, 48000), np.float32), audio_codec="flac")
    for query, options, words in (
      (sound, {"weights": "ckpt-8 00"}, r"of another network, with weights 'ckpt-7.*'ckpt-8 00'"),
      (sound, {"query_modality": "video"}, r"sound.mka has no video .*, only audio"),
      (video, {"query_modality": "audio"}, r"video.mkv has no audio .*, only video"),
      (video, {}, r"has no audio \(--find=audio\) in any window"),
      (sound, {"start_sec": 3.0}, r"sound.mka: it is 1.0\d s long and has no part"),
      (sound, {"end_sec": 3.0}, r"sound.mka: it is 1.0\d s long and has no part"),
      (sound, {"start_sec": 2.0, "end_sec": 1.0}, "--end_sec=1; expected more than --start_sec=2"),
      (sound, {"start_sec": -1.0}, "--start_sec=-1; expected 0 or more"),
      (sound, {"top": 0}, "--top=0; expected 1 or more"),
      (text, {}, "text.mp4: not a video"),
      (silent, {}, "silent.mka: the audio is silent throughout"),
      (None, {}, "Neither --query nor --serve is set"),
      (sound, {"serve": True}, r"--query=.*sound.mka with --serve; expected one of both"),
      (sound, {"index": self.media}, r"media contains no index.json; expected a folder written"),
      ("nothing.wav", {}, "--query=nothing.wav: no such file"),
      (sound, {"index": "nothing.npz"}, "--index=nothing.npz: no such file"),
      (sound, {"index": text}, r"text.mp4 contains no embeddings .*; expected a file written"),
    ):
      with self.subTest(words), self.assertRaisesRegex(ValueError, words):
        self.search(query, **options)

  def test_results_as_a_table_of_values(self):
    self.make_colours()
    path = os.path.join(self.folder, "found.csv")
    job = search.Job(self.index, self.query("q.mka", tones=["blue"]), output=path, top=2)
    job.check()
    search.run(self.encoder, _WEIGHTS, job)
    with open(path, encoding="utf-8", newline="") as f:
      rows = list(csv.DictReader(f))
    self.assertEqual(list(rows[0]), ["rank", "similarity", "file", "start_sec", "end_sec"])
    self.assertLen(rows, 2)
    with self.assertRaisesRegex(ValueError, "already exists"):
      job.check()

  def test_names_are_no_formulas_and_no_commands_of_the_terminal(self):
    names = ["=1+1.flac", "+a.flac", "-a.flac", "@a.flac", "\x1b[2Ja.flac"]
    for name in names:
      self.file(name, tones=["red"])
    self.make_index()
    query = self.query("query.mkv", colors=["red"])
    self.assertCountEqual(self.found(query), names)  # JSON keeps them unchanged.
    self.assertIn("  \\x1b[2Ja.flac", self.told)
    self.assertNotIn("\x1b", self.told)
    output = os.path.join(self.folder, "found.csv")
    search.run(self.encoder, _WEIGHTS, search.Job(self.index, query, output=output))
    with open(output, encoding="utf-8", newline="") as f:
      cells = [row["file"] for row in csv.DictReader(f)]
    expected = ["'=1+1.flac", "'+a.flac", "'-a.flac", "'@a.flac", "\\x1b[2Ja.flac"]
    self.assertCountEqual(cells, expected)


if __name__ == "__main__":
  absltest.main()

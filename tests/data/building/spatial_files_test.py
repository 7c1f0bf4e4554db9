"""Tests of builds of files with metadata on their video and audio tracks."""

import contextlib
import io
import json
import os
from unittest import mock

import tensorflow as tf

from avssl_tf.data.building import build as build_lib
from avssl_tf.data.building import finish, probes
from avssl_tf.data.building.build import build
from avssl_tf.data.building.readers import MediaReader
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.building.spherical_reader import SphericalReader
from avssl_tf.data.records.survey import survey
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from tests import media_variants, spatial_files, test_base

_READER = dict(frame_rate_hz=8.0, sample_rate_hz=8000)


class SpatialFilesTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = os.path.join(self.get_temp_dir(), self.id())
    os.makedirs(self.folder)
    self.output = os.path.join(self.folder, "data")

  def file(self, name, packing="top-bottom", *boxes, **options):
    path = os.path.join(self.folder, name)
    media_variants.write_media(
      path, spatial_files.two_eyes(packing), spatial_files.field(), layout="4.0", **options
    )
    if boxes:
      spatial_files.change_mp4(path, boxes)
    return path

  def recipe(self, paths, reader=None):
    requests = [
      ClipRequest("train", path, None, None, (), os.path.basename(path)) for path in paths
    ]
    return Recipe("test", requests, (), reader or SphericalReader(height=32, **_READER))

  def build(self, *args, **options):
    with contextlib.redirect_stdout(io.StringIO()):
      return build(*args, num_workers=0, **options)

  def test_eyes_halves_and_tracks(self):
    half = spatial_files.sv3d(fields=spatial_files.bounds(0, 0, 0.25, 0.25))
    whole = [spatial_files.st3d(1), spatial_files.sv3d()]
    paths = [
      self.file("a.mp4", "top-bottom", *whole),
      self.file("b.mp4", "top-bottom", *whole),
      self.file("vr180.mp4", "left-right", spatial_files.st3d(2), half),
      self.file("unmarked.mp4"),
      spatial_files.write_tracks(
        os.path.join(self.folder, "tracks.mkv"),
        [(spatial_files.field()[:1], "mono"), (spatial_files.field(), "4.0")],
        default=0,
      ),
    ]
    result = self.build(self.recipe(paths), self.output, max_failure_rate=0.5)
    reasons = {os.path.basename(f.path): f.reason for f in result.failures}
    self.assertEqual(sorted(reasons), ["unmarked.mp4", "vr180.mp4"])
    self.assertStartsWith(reasons["vr180.mp4"], "half a sphere: the file states")
    self.assertIn("--stereo_mode=top_bottom", reasons["unmarked.mp4"])
    self.assertNotIn("Scale it to 2:1", reasons["unmarked.mp4"])
    self.assertRegex(result.notes[0], r"^2 file\(s\), such as .*a.mp4': .*file \(top-bottom\)")
    self.assertRegex(result.notes[1], r"^1 file\(s\), such as .*tracks.mkv': audio track 2 is")
    found = survey(self.output, result.info, num_samples=10)
    self.assertEqual({(c.height, c.width) for c in found.samples}, {(32, 64)})
    # A build that is up to date prints the notes again.
    again = self.build(self.recipe(paths), self.output, max_failure_rate=0.5)
    self.assertEqual(again.notes, result.notes)

  def test_builds_of_earlier_versions_resume(self):
    paths = [self.file(name, "top-bottom", spatial_files.st3d(1)) for name in ("a.mp4", "b.mp4")]
    for reader in (SphericalReader(height=32, **_READER), MediaReader(short_side=32, **_READER)):
      output = os.path.join(self.folder, type(reader).__name__)
      recipe = self.recipe(paths, reader)
      settings = recipe.settings()["reader"]
      self.assertNotIn("stereo_mode", settings)
      self.assertNotIn("audio_track", settings)
      killed = mock.patch.object(finish, "write_final_shards", side_effect=KeyboardInterrupt)
      with killed, self.assertRaises(KeyboardInterrupt):
        self.build(recipe, output)
      journal = os.path.join(output, ".build", "probes.jsonl")
      with open(journal, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
      for line in lines:
        self.assertNotEmpty(line.pop("notes"))  # Earlier versions had none.
      with open(journal, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
      result = self.build(recipe, output)
      self.assertTrue(result.was_complete)
      self.assertEmpty(result.notes)
    changed = MediaReader(short_side=32, stereo_mode="top_bottom", **_READER)
    with self.assertRaisesRegex(build_lib.BuildError, "with other settings"):
      self.build(self.recipe(paths, changed), output)

  def test_damaged_notes_in_the_journal(self):
    path = os.path.join(self.folder, "probes.jsonl")
    with open(path, "w", encoding="utf-8") as f:
      for notes in (["fine"], "no list", [1], None):
        f.write(json.dumps({"path": str(notes), "notes": notes}) + "\n")
    self.assertEqual(list(probes.ProbeJournal(path).probes), ["['fine']"])

  def test_ordinary_records_of_two_eyes(self):
    path = self.file("a.mp4", "top-bottom", spatial_files.st3d(1))
    result = self.build(self.recipe([path], MediaReader(short_side=32, **_READER)), self.output)
    (note,) = result.notes
    self.assertIn("the left eye is used", note)
    (clip,) = survey(self.output, result.info, num_samples=10).samples
    self.assertEqual((clip.height, clip.width), (32, 64))
    frame = tf.io.decode_jpeg(clip.frames[0]).numpy()
    self.assertAllClose(frame[16, 30], (200, 0, 0), atol=12)


if __name__ == "__main__":
  tf.test.main()

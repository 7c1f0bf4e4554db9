"""Tests of the localisation protocol: known ground truth, baselines, annotations, resuming."""

import csv
import dataclasses
import json
import os

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.evaluation.localization import localization_baselines
from avssl_tf.evaluation.localization.localization import Localization
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from tests import test_base, tiny_alignment, tiny_run

_PARTS = ("trained", "other sound", "all ones", "centre", "random", "oracle")
_SETTINGS = dict(batch_size=3, map_size=32, positive_share=0.25)


def _unused(value):
  raise NotImplementedError


def _embed_audio(waveform):
  """The same for all audio."""
  ones = tf.ones([tf.shape(waveform)[0], 1])
  return {"features": ones, "embedding": tf.concat([ones, 0 * ones], axis=-1)}


def _brightest(frames):
  """Bright regions are the sources: the objects of the world are brighter."""
  value = tf.cast(tf.reduce_max(frames, axis=-1, keepdims=True), tf.float32) / 256.0
  value = tf.reduce_mean(value, axis=1, keepdims=True)
  return tf.concat([value, tf.sqrt(1.0 - value**2)], axis=-1)


def make_encoder(embed_positions=_brightest):
  clip = tiny_run.CLIP
  return Encoder(clip, 8000, 1, _unused, _embed_audio, _unused, _unused, embed_positions)


class LocalizationTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tf.compat.v1.test.get_temp_dir()
    cls.data_dir = tiny_run.make_data(os.path.join(folder, "localization_data"))

  def path(self, *names):
    return os.path.join(self.get_temp_dir(), *names)

  def evaluate(self, name, encoder=None, data_dir=None, **settings):
    protocol = Localization(**{**_SETTINGS, **settings})
    results = Results(self.path(name, "results.json"), {"name": name})
    encoder = encoder or make_encoder()
    protocol(encoder, data_dir or self.data_dir, results, self.path(name, "work"))
    return results

  def rows(self, name):
    with open(self.path(name, "clips.csv"), encoding="utf-8") as f:
      return list(csv.DictReader(f))

  def test_a_network_that_sees_the_objects_beats_what_knows_nothing(self):
    results = self.evaluate("all")
    found = {part: results.get(part) for part in _PARTS}
    self.assertEqual(found["trained"]["num_visible"], 8)
    names = {"ap50", "auc", "mean_ciou", "max_f1", "loc_ap", "num_visible", "num_invisible"}
    for part, metrics in found.items():
      missing = {"max_f1", "loc_ap"} if part == "other sound" else set()
      self.assertEqual(set(metrics), names - missing)
    trivial = ("all ones", "centre", "random")
    for part in trivial:
      self.assertGreater(found["trained"]["mean_ciou"], found[part]["mean_ciou"], part)
    self.assertGreater(found["oracle"]["mean_ciou"], found["trained"]["mean_ciou"])
    # Only the oracle detects that there is no source.
    self.assertGreater(found["oracle"]["max_f1"], max(found[p]["max_f1"] for p in trivial))
    self.assertGreater(found["oracle"]["max_f1"], found["trained"]["max_f1"])
    # This network ignores the audio.
    if found["other sound"]["num_visible"] == 8:
      self.assertEqual(found["other sound"]["ap50"], found["trained"]["ap50"])
    self.assertIn("ap50", results.table(with_mean=False))

  def test_every_clip_with_its_own_sound_and_that_of_another(self):
    self.evaluate("rows")
    rows = self.rows("rows")
    self.assertEqual([row["method"] for row in rows], 16 * list(_PARTS))
    (batch,) = datasets.evaluation_dataset(self.data_dir, "test", tiny_run.CLIP, 8)
    expected = [key.decode() for key in batch["key"].numpy() for _ in range(12)]
    self.assertEqual([row["id"] for row in rows], expected)
    self.assertEqual({row["visible"] for row in rows[::12]}, {"1"})
    self.assertTrue({row["visible"] for row in rows[6::12]} <= {"0", ""})
    # The audio is uninformative, and so is the confidence of a network that ignores it.
    for own, other in zip(rows[::12], rows[6::12]):
      if other["visible"]:
        self.assertEqual(own["confidence"], other["confidence"])

  def test_goes_on_where_it_was_stopped(self):
    whole = self.evaluate("whole")
    calls = []

    def stopped(frames):
      # For actual frames, not for those used to determine the size of the map.
      if len(frames) > 1:
        calls.append(len(frames))
      if len(calls) == 2:
        raise KeyboardInterrupt
      return _brightest(frames)

    tf.config.run_functions_eagerly(True)
    self.addCleanup(tf.config.run_functions_eagerly, False)
    with self.assertRaises(KeyboardInterrupt):
      self.evaluate("stopped", make_encoder(stopped))
    calls.append(0)
    results = self.evaluate("stopped", make_encoder(stopped))
    self.assertEqual(calls, [3, 3, 0, 3, 2])
    for part in _PARTS:
      self.assertAllClose(results.get(part), whole.get(part), atol=1e-6)
    self.assertEqual(self.rows("stopped"), self.rows("whole"))
    self.assertEmpty(os.listdir(self.path("stopped", "work")))

  def test_annotations_in_place_of_the_boxes_of_records(self):
    clip = dataclasses.replace(tiny_run.CLIP, whole_picture=True, boxes=True)
    (batch,) = datasets.evaluation_dataset(self.data_dir, "test", clip, 8)
    names = [key.decode().rpartition("@")[0].rpartition("/")[2] for key in batch["key"].numpy()]
    middle = batch[keys.BOXES].numpy()[:, 1]
    entries = [
      {"file": name, "class": "x", "bbox": [[float(box[k]) for k in (1, 0, 3, 2)]]}
      for name, box in zip(names, middle)
    ]
    path = self.path("vggss.json")
    with open(path, "w", encoding="utf-8") as f:
      json.dump(entries[:5] + [{"file": "elsewhere", "class": "x", "bbox": []}], f)
    settings = dict(annotations=path, whole_picture=True)
    results = self.evaluate("annotated", **settings)
    self.assertEqual(results.get("trained")["num_visible"], 5)
    self.assertGreater(results.get("oracle")["mean_ciou"], 0.5)
    for name, row in zip(names, self.rows("annotated")[::12]):
      self.assertEqual(row["visible"], "1" if name in names[:5] else "")
    listed = self.path("list.csv")
    with open(listed, "w", encoding="utf-8") as f:
      f.write(f"{names[1]}.mp4,x\n{names[4]}.mp4,x\n")
    results = self.evaluate("listed", test_list=listed, **settings)
    self.assertEqual(results.get("trained")["num_visible"], 2)
    with open(listed, "a", encoding="utf-8") as f:
      f.write(f"{names[7]}\n")
    with self.assertRaisesRegex(ValueError, "1 of the 3 clips .* are not annotated"):
      self.evaluate("unlisted", test_list=listed, **settings)
    # A clip with all boxes outside of the image has no ground truth.
    with open(path, "w", encoding="utf-8") as f:
      json.dump([{**entries[0], "bbox": [[1.0, 0.0, 1.5, 1.0]]}, *entries[1:5]], f)
    results = self.evaluate("outside", **settings)
    self.assertEqual(results.get("trained")["num_visible"], 4)
    self.assertEqual(self.rows("outside")[0]["visible"], "")
    with open(path, "w", encoding="utf-8") as f:
      json.dump([{"file": "elsewhere", "class": "x", "bbox": [[0, 0, 1, 1]]}], f)
    with self.assertRaisesRegex(ValueError, "none of the 1 names .* such as 'elsewhere'"):
      self.evaluate("foreign", **settings)

  def test_examples_for_pictures(self):
    protocol = Localization(**_SETTINGS)
    clips = protocol.examples(make_encoder(), self.data_dir, 4)
    self.assertLen(clips, 4)
    self.evaluate("examples")
    for clip, row in zip(clips, self.rows("examples")[::12]):
      self.assertEqual(clip.name, row["id"])
      self.assertAlmostEqual(clip.ciou, float(row["ciou"]), places=6)
      self.assertEqual(clip.is_found, clip.ciou >= 0.5)
      self.assert_shape(clip.frame, (16, 16, 3))
      self.assert_shape(clip.heat, (32, 32))
      self.assertEqual((clip.heat.min(), clip.heat.max()), (0.0, 1.0))
      self.assert_shape(clip.boxes, (1, 4))
    self.assertLen(protocol.examples(make_encoder(), self.data_dir, 100), 8)

  def test_what_cannot_be_measured(self):
    spherical = tiny_alignment.make_data(self.path("spherical"), num_train=8)
    with self.assertRaisesRegex(ValueError, "are of 360° video; localisation requires"):
      self.evaluate("spherical", data_dir=spherical)
    for settings, message in (
      (dict(annotations="a.json"), "set Localization.whole_picture"),
      (dict(test_list="a.csv"), "set Localization.annotations"),
      (dict(positive_level=0.5), "expected one of them"),
      (dict(map_size=0), "Localization.map_size is 0"),
      (dict(truth_frames="first"), "expected 'all' or 'middle'"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        Localization(**{**_SETTINGS, **settings})


class OtherSoundsTest(test_base.TestCase):

  def test_the_next_clip_of_another_class(self):
    self.assertAllEqual(localization_baselines.other_sounds([0, 0, 1, 0, 2]), [2, 2, 3, 4, 0])
    self.assertAllEqual(localization_baselines.other_sounds([-1, -1, 3]), [1, 2, 0])
    self.assertAllEqual(localization_baselines.other_sounds([3, 3]), [-1, -1])
    self.assertAllEqual(localization_baselines.other_sounds([3]), [-1])


if __name__ == "__main__":
  tf.test.main()

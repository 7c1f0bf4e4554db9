"""Tests that the pages on records and batches agree with real records and batches."""

import collections
import dataclasses
import os
import re
import tempfile

import tensorflow as tf
from absl.testing import absltest, parameterized

from avssl_tf import keys
from avssl_tf.data.building import demo
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.records import dataset_info, encoding, schema
from avssl_tf.data.synthetic.spherical import SphericalWorld
from tests import source_tree, tiny_run

_LISTS = {"bytes_list": "bytes", "float_list": "float32", "int64_list": "int64"}
_FOLDER = tempfile.TemporaryDirectory()
_CLIP = ClipSpec(num_frames=2, frame_rate_hz=8.0, frame_size=16, audio_sec=0.5, boxes=True)
_VIEWS = dataclasses.replace(_CLIP, boxes=False, viewpoints=ViewpointSpec(3), masks=True)
_PANORAMA = dataclasses.replace(_CLIP, boxes=False, panorama=True, flow=True)


def setUpModule():
  tiny_run.make_data(os.path.join(_FOLDER.name, "ordinary"), num_train=4)
  demo.DemoData(
    SphericalWorld(num_train=4, num_test=8), tiny_run.SPECTROGRAM,
    os.path.join(_FOLDER.name, "360"), flow=True,
  ).build_if_missing(num_workers=0)  # fmt: skip


def tearDownModule():
  _FOLDER.cleanup()


def _rows(page: str, section: str) -> list[list[str]]:
  """Cells of the tables in a section of a page, without their heads."""
  text = (source_tree.ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
  (part,) = (p for p in re.split(r"^## ", text, flags=re.MULTILINE) if p.startswith(section + "\n"))
  rows = [line.strip("| ").split(" | ") for line in re.findall(r"^\| `.*$", part, re.MULTILINE)]
  return [[cell.strip("` |") for cell in row] for row in rows]


def _records(folder: str) -> list[tf.train.SequenceExample]:
  data_dir = os.path.join(_FOLDER.name, folder)
  shard = dataset_info.DatasetInfo.load(data_dir).splits["train"][0]
  records = encoding.read_file(os.path.join(data_dir, shard.file))
  return [tf.train.SequenceExample.FromString(record) for record in records]


class RecordsTest(parameterized.TestCase):

  def test_every_key_of_the_schema_is_there_once(self):
    listed = [row[0] for part in ("Context features", "Feature lists")
              for row in _rows("records.md", part)]  # fmt: skip
    known = [value for value in vars(schema).values() if isinstance(value, str) and "/" in value]
    known = {value for value in known if re.fullmatch(r"[\w/]+", value)}
    known -= {schema.__file__}
    self.assertCountEqual(listed, known)

  def test_records_have_these_features(self):
    context = {row[0]: row for row in _rows("records.md", "Context features")}
    lists = {row[0]: row for row in _rows("records.md", "Feature lists")}
    found = set()
    for record in _records("ordinary") + _records("360"):
      features = collections.defaultdict(tf.train.Feature, record.context.feature)
      num_frames = len(record.feature_lists.feature_list[schema.IMAGE_ENCODED].feature)
      objects = len(features[schema.OBJECT_LABEL].int64_list.value)
      samples = (
        features[schema.NUM_SAMPLES].int64_list.value[0]
        * features[schema.NUM_CHANNELS].int64_list.value[0]
      )
      sizes = {"[1]": 1, "[labels]": 1, "[objects]": objects, "[samples * channels]": samples}
      for key, feature in record.context.feature.items():
        self.assertEqual(_shape(feature), (context[key][1], sizes[context[key][2]]), key)
      for key, steps in record.feature_lists.feature_list.items():
        self.assertLen(steps.feature, num_frames if lists[key][2] == "frames" else 1, key)
        for feature in steps.feature:
          self.assertEqual(_shape(feature), (lists[key][1], sizes[lists[key][3]]), key)
      found |= {*record.context.feature, *record.feature_lists.feature_list}
    self.assertEqual(found, {*context, *lists})
    always = {key for key, row in context.items() if row[3] == "always"}
    for record in _records("ordinary") + _records("360"):
      self.assertContainsSubset(always, set(record.context.feature))

  def test_fields_of_the_description(self):
    listed = [row[0] for row in _rows("records.md", "dataset_info.json")]
    classes = (dataset_info.DatasetInfo, dataset_info.Shard, dataset_info.Subset)
    fields = [field.name for cls in classes for field in dataclasses.fields(cls)]
    self.assertEqual(sorted(listed), sorted(fields))


def _shape(feature: tf.train.Feature) -> tuple[str, int]:
  kind = feature.WhichOneof("kind")
  return _LISTS[kind], len(getattr(feature, kind).value)


class BatchesTest(parameterized.TestCase):

  @parameterized.parameters(
    ("Ordinary clips", "ordinary", _CLIP),
    ("Views of 360° clips", "360", _VIEWS),
    ("Panoramas", "360", _PANORAMA),
  )
  def test_batches_have_these_keys(self, section, folder, clip):
    rows = _rows("batches.md", "All kinds") + _rows("batches.md", section)
    data_dir = os.path.join(_FOLDER.name, folder)
    evaluated = datasets.evaluation_dataset(data_dir, "test", clip, 3, all_labels=True)
    trained = datasets.training_dataset(data_dir, "train", clip, batch_size=3, all_labels=True)
    self._check(next(iter(evaluated)), rows)
    only_evaluation = "only in evaluation"
    self._check(next(iter(trained)), [row for row in rows if only_evaluation not in row[-1]])

  def _check(self, batch, rows):
    self.assertEqual(set(batch), {row[0] for row in rows})
    for key, _, dtype, shape, *_ in rows:
      dims = shape.strip("[]").split(", ")
      self.assertEqual(batch[key].dtype.name, dtype, key)
      self.assertLen(batch[key].shape, len(dims), key)
      for dim, size in zip(dims, batch[key].shape):
        expected = {"B": 3, "T": 2, "H": 16, "W": 16, "2H": 32, "K": 3, "S": 25}.get(dim)
        expected = int(dim) if dim.isdecimal() else expected
        self.assertEqual(size if expected is None else expected, size, key)

  def test_constants_are_those_of_the_keys(self):
    sections = ("All kinds", "Ordinary clips", "Views of 360° clips", "Panoramas")
    listed = {row[1]: row[0] for section in sections for row in _rows("batches.md", section)}
    known = {name: value for name, value in vars(keys).items()
             if name.isupper() and isinstance(value, str)}  # fmt: skip
    self.assertEqual(listed, known)


if __name__ == "__main__":
  absltest.main()

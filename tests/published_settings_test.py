"""Tests that gin files set what was published, or what the table of differences says instead."""

import copy
import dataclasses
import functools
import json
import os
import re
import unittest

import gin

from avssl_tf.training.configurations.settings import Settings, included_files
from tests import published, published_readers, source_tree

# Numbers of files of published settings that no published number is about, and why.
_OURS = {
  "gin/base/video.gin": {"train.checkpoint_every_minutes": "changes nothing that is trained"},
  "gin/base/spatial_audio_scale.gin": {
    "train.checkpoint_every_minutes": "the same",
    "train.clips_per_video": "an epoch is ours: the authors count iterations",
    "PanoramaEncoder.margin": "of the video network that is ours",
    "R2Plus1D.stem_kernel": "the same",
    "R2Plus1D.stage_widths": "the same",
    "R2Plus1D.stage_strides": "the same",
  },
  **{
    f"gin/scale/{name}.gin": {"num_epochs": "the authors count iterations"}
    for name in ("rec_street", "yt_clean", "yt_music", "yt_all")
  },
  "gin/evaluate/scale/vggss.gin": {"batch_size": "changes nothing that is measured"},
  "gin/evaluate/scale/yt360_avc_bin.gin": {"batch_size": "the same: the network is frozen"},
  "gin/evaluate/scale/yt360_avsa_bin.gin": {"batch_size": "the same: the network is frozen"},
  "gin/evaluate/scale/yt360.gin": {"FeaturePyramid.num_groups": "no published number is known"},
}
_AVSA_ACTIONS = ("avsa_ucf101/8x112", "avsa_hmdb51/8x112")
# What files set for all entries that include them, and some have no use or no published number for.
_UNUSED = {
  "Augmentation.crop_": (
    published.STAGE1, published.STAGE2, published.ONE_RUN, *_AVSA_ACTIONS,
  ),
  "Finetune.classifier_epochs": _AVSA_ACTIONS,
  "Transformer.": (published.STAGE1,),
}
_SCALES = ("gin/scale/", "gin/evaluate/scale/", "gin/base/video.gin",
           "gin/base/spatial_audio_scale.gin")  # fmt: skip


def _entries():
  return [(name, entry) for name, entries in published.ENTRIES.items() for entry in entries]


@functools.cache
def _composed(entry):
  return published.composed(entry)


def _problems(name, entry, run, evaluation, rows=None, wanted=None):
  try:
    found = published.values(entry, run, evaluation)
  except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
    return [repr(error)]  # A value that makes no sense is seen as well.
  wanted = wanted if wanted is not None else published.published()[name]
  return published.problems(name, wanted, found, published.table() if rows is None else rows)


def _mutations(value):
  """The value with one of the numbers in it changed, for each of them."""
  if isinstance(value, bool) or value is None or isinstance(value, str):
    return
  if isinstance(value, (int, float)):
    yield value + 1 if isinstance(value, int) else (value * 1.5 or 0.125)
  elif isinstance(value, dict):
    for key in value:
      for other in _mutations(value[key]):
        yield {**value, key: other}
  elif isinstance(value, (list, tuple)):
    for i, part in enumerate(value):
      for other in _mutations(part):
        yield type(value)([*value[:i], other, *value[i + 1 :]])


def _files(path):
  """A gin file and all that it includes."""
  text = (source_tree.ROOT / path).read_text(encoding="utf-8")
  return [path, *(inner for other in included_files(text) for inner in _files(other))]


class PublishedSettingsTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  def test_every_value_is_as_published_or_in_the_table(self):
    rows, faults = published.table(), []
    for name, wanted in published.published().items():
      if name not in published.ENTRIES:
        faults += published.problems(name, wanted, None, rows)
      for entry in published.ENTRIES.get(name, ()):
        faults += _problems(name, entry, *_composed(entry), rows, wanted)
    self.assertEqual(faults, [])

  def test_every_file_of_published_settings_is_compared(self):
    compared = {path for _, entry in _entries() for path in (*entry.run, *entry.evaluation)}
    compared = {inner for path in compared for inner in _files(path)}
    for folder in ("gin/scale", "gin/evaluate/scale"):
      there = {f"{folder}/{name}" for name in os.listdir(source_tree.ROOT / folder)}
      self.assertEqual(sorted(there - compared), [])

  def test_rows_of_the_table_are_of_entries(self):
    known = published.published()
    for row in published.table():
      self.assertEqual(set(row), {"entries", "key", "published", "here", "reason"})
      self.assertNotEqual(row["reason"], "")
      for name in row["entries"]:
        self.assertIn(name, known)
        self.assertEqual(row["key"] == published.ALL, name not in published.ENTRIES, row)

  def test_pages_show_the_table(self):
    shown = {page.stem: published.shown(page) for page in published.PAGES.glob("*.md")}
    self.assertEqual(shown.pop("published_settings"), {"all"})
    by_methods = [word for words in shown.values() for word in words]
    entries = {name for row in published.table() for name in row["entries"]}
    self.assertCountEqual(by_methods, {re.split("[/ ]", name)[0] for name in entries})

  def test_seven_changes_are_found(self):
    for entry, change in (
      ("avid/kinetics", "learning_rate=2e-2"),
      ("avid/kinetics", "num_epochs=3"),
      ("avid/kinetics", "train.clips_per_video=1"),
      ("avid/kinetics", "optimizers.Adam.l2=0.1"),
      ("avid/kinetics", "ClipSpec.frame_size=32"),
      ("avid/kinetics", "ClipSpec.audio_sec=0.5"),
      ("cma/kinetics", "CMA.refresh_every_epochs=1000"),
    ):
      (changed,) = (
        dataclasses.replace(e, params=(*e.params, change)) for e in published.ENTRIES[entry]
      )
      self.assertNotEqual(_problems(entry, changed, *published.composed(changed)), [], change)


class MutationTest(unittest.TestCase):
  """Any one number, changed in memory, is found."""

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  def test_numbers_of_gin_files(self):
    rows, known = published.table(), published.published()
    unseen, count = [], 0
    for name, entry in _entries():
      composed = list(_composed(entry))
      # The run of an evaluation is an example network: its numbers are tested elsewhere.
      sides = {1: entry.evaluation} if entry.evaluation else {0: entry.run}
      for side, paths in sides.items():
        for path, key in self.bound_in(paths):
          for settings in self.changed(composed[side], key):
            both = [*composed[:side], settings, *composed[side + 1 :]]
            count += 1
            used = not any(key.startswith(k) and name in v for k, v in _UNUSED.items())
            if used and not _problems(name, entry, *both, rows, known[name]):
              unseen.append((path, key))
    ours = {(path, key) for path, keys in _OURS.items() for key in keys}
    self.assertEqual(set(unseen), ours)
    self.assertGreater(count, 300)

  @staticmethod
  def bound_in(paths):
    """Names that files of published settings bind, each with the file."""
    for path in dict.fromkeys(inner for outer in paths for inner in _files(outer)):
      if path.startswith(_SCALES):
        text = (source_tree.ROOT / path).read_text(encoding="utf-8")
        settings = Settings.parse(text)
        for key in (*settings.bindings, *settings.macros):
          yield path, published_readers.unqualified(key)

  @staticmethod
  def changed(settings, key):
    """Configurations in which a number of a binding or macro is another."""
    for kind in ("bindings", "macros"):
      for name, value in getattr(settings, kind).items():
        if published_readers.unqualified(name) == key:
          for other in _mutations(value):
            yield dataclasses.replace(settings, **{kind: {**getattr(settings, kind), name: other}})

  def test_published_numbers(self):
    rows, known = published.table(), published.published()
    count = 0
    for name, wanted in known.items():
      for key, value in wanted.items():
        for other in _mutations(value):
          changed = {**wanted, key: other}
          count += 1
          if name not in published.ENTRIES:
            faults = published.problems(name, changed, None, rows)
          for entry in published.ENTRIES.get(name, ()):
            faults = _problems(name, entry, *_composed(entry), rows, changed)
          self.assertNotEqual(faults, [], (name, key, other))
    self.assertGreater(count, 400)

  def test_names_that_nobody_reads_are_found(self):
    wanted = {**published.published()["avid/kinetics"], "new_number": 3}
    (entry,) = published.ENTRIES["avid/kinetics"]
    faults = _problems("avid/kinetics", entry, *_composed(entry), None, wanted)
    self.assertEqual(len(faults), 1)
    self.assertIn("new_number is not compared", faults[0])
    self.assertNotEqual(published.problems("new/entry", {"a": 1}, None, published.table()), [])

  def test_rows_that_are_wrong_or_out_of_date_are_found(self):
    rows = copy.deepcopy(published.table())
    for row in rows:
      for part in ("published", "here"):
        if row["key"] == published.ALL or part == "here" and row[part] is None:
          continue
        changed = [{**r, part: json.dumps([r[part], "x"])} if r is row else r for r in rows]
        name = row["entries"][0]
        entry = published.ENTRIES[name][0]
        self.assertNotEqual(_problems(name, entry, *_composed(entry), changed), [], row)
    (entry,) = published.ENTRIES["avid/kinetics"]
    stale = {"entries": ["avid/kinetics"], "key": "l2", "published": 1e-5, "here": 1e-5,
             "reason": "none"}  # fmt: skip
    faults = _problems("avid/kinetics", entry, *_composed(entry), [*rows, stale])
    self.assertIn("l2 is as published", faults[0])


if __name__ == "__main__":
  unittest.main()

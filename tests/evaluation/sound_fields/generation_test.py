"""Tests of the evaluation of generated sound fields: single clips, other networks, resuming."""

import csv
import dataclasses
import os
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.evaluation.clip_journal import ClipJournal
from avssl_tf.evaluation.results import Results
from avssl_tf.evaluation.sound_fields import sound_field_baselines as baselines
from avssl_tf.evaluation.sound_fields import sound_field_scores
from avssl_tf.evaluation.sound_fields.generation import SpatialAudioEvaluation
from avssl_tf.evaluation.sound_fields.generation_probe import GenerationProbe
from avssl_tf.inference.generator import Generator
from tests import test_base, tiny_alignment, tiny_run

_CLIP = ClipSpec(num_frames=2, frame_rate_hz=8.0, frame_size=16, audio_sec=0.3, panorama=True)
_BASELINES = (baselines.Silence(), baselines.SpatialPrior(), baselines.OracleDirections())


def _cheat(batch):
  """Half of the true field, which is in the batch."""
  return batch[keys.AUDIO] * [1.0, 0.5, 0.5, 0.5]


class SpatialAudioEvaluationTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tf.compat.v1.test.get_temp_dir()
    cls.data_dir = tiny_alignment.make_data(os.path.join(folder, "spatial_audio_data"))

  def evaluate(self, name, generate=_cheat, others=None, clip=_CLIP, **settings):
    folder = os.path.join(self.get_temp_dir(), name)
    protocol = SpatialAudioEvaluation(
      batch_size=3, baselines=_BASELINES, others=dict.fromkeys(others or {}, "runs/x"), **settings
    )
    generators = {"trained": Generator(clip, 8000, generate), **(others or {})}
    results = Results(os.path.join(folder, "results.json"), {"seed": 0})
    protocol(generators, self.data_dir, results, os.path.join(folder, "work"))
    return results, os.path.join(folder, "clips.csv")

  def test_every_clip_by_every_method(self):
    other = Generator(_CLIP, 8000, lambda batch: batch[keys.AUDIO])
    results, path = self.evaluate("all", others={"perfect": other})
    with open(path, encoding="utf-8") as f:
      rows = list(csv.DictReader(f))
    methods = ["trained", "perfect", "silence", "spatial prior", "oracle, directions"]
    self.assertEqual([row["method"] for row in rows], 8 * methods)
    (batch,) = datasets.evaluation_dataset(self.data_dir, "test", _CLIP, 8)
    self.assertEqual([row["id"] for row in rows[::5]], [k.decode() for k in batch["key"].numpy()])
    for number in range(8):
      field, tracks = batch[keys.AUDIO][number].numpy(), batch[keys.SOURCES][number].numpy()
      expected = sound_field_scores.measure(field, field * [1, 0.5, 0.5, 0.5], tracks, 8000)
      found = {name: float(rows[5 * number][name]) for name in expected}
      self.assertAllClose(found, expected, rtol=1e-4, atol=1e-4)
    trained, silence = results.get("trained"), results.get("silence")
    self.assertAllClose(trained["all_error_db"], 10 * np.log10(0.25), atol=1e-3)
    self.assertAllClose(silence["all_error_db"], 0.0, atol=1e-6)
    self.assertEqual(trained["num_all"], 8)
    self.assertLess(results.get("perfect")["all_error_db"], -90)
    self.assertLess(results.get("oracle, directions")["all_error_db"], -3)
    self.assertIn("all_error_db, dB", results.table(with_mean=False))

  def test_an_interrupted_evaluation_goes_on(self):
    expected, path = self.evaluate("whole")
    calls = []

    def broken(batch):
      calls.append(len(batch[keys.AUDIO]))
      if len(calls) == 3:
        raise KeyboardInterrupt
      return _cheat(batch)

    with self.assertRaises(KeyboardInterrupt):
      self.evaluate("broken", broken)
    (journal,) = os.listdir(os.path.join(self.get_temp_dir(), "broken", "work"))
    # As if the machine had failed in the middle of a row.
    journal = os.path.join(self.get_temp_dir(), "broken", "work", journal)
    with open(journal, "a", encoding="utf-8") as f:
      f.write("half a r")
    calls.append(0)  # No further failure.
    results, again = self.evaluate("broken", broken)
    self.assertEqual(calls, [3, 3, 2, 0, 2])
    for part in ("trained", "silence"):
      self.assertAllClose(results.get(part), expected.get(part))
    with open(path, encoding="utf-8") as f, open(again, encoding="utf-8") as g:
      self.assertEqual(f.read(), g.read())
    self.evaluate("broken", broken)
    self.assertLen(calls, 5)

  def test_stopped_while_results_are_kept_measures_no_whole_batch_again(self):
    calls = []

    def generate(batch):
      calls.append(len(batch[keys.AUDIO]))
      return _cheat(batch)

    with mock.patch.object(Results, "put", side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        self.evaluate("kept", generate)
    results, _ = self.evaluate("kept", generate)
    # Eight clips, three at a time; the last batch is smaller.
    self.assertEqual(calls, [3, 3, 2, 2])
    self.assertEqual(results.get("trained")["num_all"], 8)
    self.assertEmpty(os.listdir(os.path.join(self.get_temp_dir(), "kept", "work")))

  def test_windows_and_their_numbers(self):
    _, path = self.evaluate("windows", windows_per_clip=2)
    with open(path, encoding="utf-8") as f:
      rows = [(row["id"], row["window"]) for row in csv.DictReader(f)][::4]
    self.assertEqual([window for _, window in rows], 8 * ["0", "1"])
    self.assertEqual(rows[0][0], rows[1][0])

  def test_what_does_not_go_together(self):
    other = Generator(dataclasses.replace(_CLIP, num_frames=1), 8000, _cheat)
    with self.assertRaisesRegex(ValueError, "'trained' and 'other' take different clips"):
      self.evaluate("clips", others={"other": other})
    with self.assertRaisesRegex(ValueError, "several parts named 'silence'"):
      SpatialAudioEvaluation(baselines=_BASELINES, others={"silence": "runs/x"})
    planar = tiny_run.make_data(os.path.join(self.get_temp_dir(), "planar"))
    results = Results(os.path.join(self.get_temp_dir(), "p", "results.json"), {})
    with self.assertRaisesRegex(ValueError, "have 1 audio channels and the projection None"):
      SpatialAudioEvaluation()({"trained": Generator(_CLIP, 8000, _cheat)}, planar, results, "w")

  def test_the_probe_measures_the_same(self):
    expected, _ = self.evaluate("probe")

    class Network:
      sample_rate_hz = 8000
      generate = staticmethod(_cheat)

    found = GenerationProbe(batch_size=4)(Network(), self.data_dir, _CLIP)
    self.assertGreater(len(found), 8)
    trained = expected.get("trained")
    self.assertAllClose(
      found, {name: trained[name.removeprefix("probe/")] for name in found}, rtol=1e-4, atol=1e-4
    )


class ClipJournalTest(test_base.TestCase):

  def test_other_settings_begin_anew(self):
    folder = self.get_temp_dir()
    journal = ClipJournal(folder, {"seed": 0}, 1, ("error_ratio",))
    journal.add([{"id": "a", "window": 0, "method": "m", "error_ratio": 0.5}])
    self.assertEqual(ClipJournal(folder, {"seed": 0}, 1, ("error_ratio",)).num_blocks, 1)
    self.assertEqual(ClipJournal(folder, {"seed": 1}, 1, ("error_ratio",)).num_blocks, 0)
    again = ClipJournal(folder, {"seed": 0}, 1, ("error_ratio",))
    rows = again.copy_to(os.path.join(folder, "clips.csv"))
    self.assertEqual(rows, [("m", {"error_ratio": 0.5})])
    self.assertEqual(ClipJournal(folder, {"seed": 0}, 1, ("error_ratio",)).num_blocks, 1)
    again.delete()
    self.assertEqual(ClipJournal(folder, {"seed": 0}, 1, ("error_ratio",)).num_blocks, 0)


if __name__ == "__main__":
  tf.test.main()

"""Tests of cutting files into clips and distributing them over shards."""

import json
import os
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from avssl_tf.data.building import plan
from avssl_tf.data.building.probes import Probe, ProbeJournal
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.engines.workers import LocalEngine
from tests.data.building import fake_source

CUTTING = plan.Cutting(10.0, 2.0)


def _request(path, start=None, end=None, split="train"):
  return ClipRequest(split, path, start, end, (), path)


class CutTest(parameterized.TestCase):
  @parameterized.parameters(
    # A whole file: cut; the remainder is kept if long enough; a short file is one clip.
    (None, None, 30.0, [(0, 10), (10, 20), (20, 30)]),
    (None, None, 32.0, [(0, 10), (10, 20), (20, 30), (30, 32)]),
    (None, None, 31.9, [(0, 10), (10, 20), (20, 30)]),
    (None, None, 2.0, [(0, 2)]),
    # One end open: cut in the same way.
    (5.0, None, 17.0, [(5, 15), (15, 17)]),
    (None, 12.5, 20.0, [(0, 10), (10, 12.5)]),
    # Both ends given: cut up to the end of the file.
    (5.0, 14.5, 40.0, [(5, 14.5)]),
    (5.0, 30.5, 40.0, [(5, 15), (15, 25), (25, 30.5)]),
    (5.0, 30.5, 16.0, [(5, 15)]),
  )
  def test_spans(self, start, end, duration, expected):
    spans = plan.cut(start, end, duration, CUTTING)
    self.assertEqual(spans, [(a * 1_000_000, b * 1_000_000) for a, b in expected])

  @parameterized.parameters(
    (None, None, 1.9, "1.900 s, less than the minimum of 2 s"),
    (5.0, 6.0, 20.0, "1.000 s"),
    (19.0, None, 20.0, "1.000 s"),
    (30.0, 40.0, 20.0, "0.000 s"),
  )
  def test_too_short(self, start, end, duration, message):
    with self.assertRaisesRegex(MediaError, message):
      plan.cut(start, end, duration, CUTTING)

  def test_a_clip_does_not_end_after_its_file(self):
    self.assertEqual(plan.cut(None, None, 4.9999999, CUTTING), [(0, 4_999_999)])

  def test_bad_durations_are_refused(self):
    for clip, minimum in ((10, 0), (10, 11), (-1, -2)):
      with self.assertRaisesRegex(ValueError, "--min_duration_sec"):
        plan.Cutting(clip, minimum)


class PlanTest(absltest.TestCase):
  def test_clips_follow_the_requests_and_failures_are_kept_apart(self):
    probes = {
      "a": Probe("a", duration_sec=12.0),
      "b": Probe("b", reason="no audio stream"),
      "c": Probe("c", duration_sec=1.0),
    }
    requests = [_request("a"), _request("b", 1.0, 5.0), _request("c"), _request("a", 3.0, 6.0)]
    clips, failures = plan.plan_clips(requests, probes, CUTTING)
    self.assertEqual(
      [clip.key for clip in clips],
      [(0, 0, 10_000_000), (0, 10_000_000, 12_000_000), (3, 3_000_000, 6_000_000)],
    )
    self.assertEqual([clip.example_id for clip in clips], ["a@0.000", "a@10.000", "a@3.000"])
    self.assertEqual([(f.path, f.start_sec, f.end_sec) for f in failures],
                     [("b", 1.0, 5.0), ("c", None, None)])  # fmt: skip
    self.assertEqual(failures[0].reason, "no audio stream")
    self.assertStartsWith(failures[1].reason, "too short: ")

  def test_shards_are_contiguous_and_even(self):
    requests = [_request(str(i), split="test" if i % 3 == 0 else "train") for i in range(20)]
    probes = {str(i): Probe(str(i), duration_sec=5.0) for i in range(20)}
    clips, _ = plan.plan_clips(requests, probes, CUTTING)
    shards = plan.plan_shards(clips, 4)
    self.assertEqual([s.name for s in shards[:2]],
                     ["test-00000-of-00004.tfrecord", "test-00001-of-00004.tfrecord"])  # fmt: skip
    self.assertEqual([len(s.clips) for s in shards], [1, 2, 2, 2, 3, 3, 3, 4])
    for split in ("test", "train"):
      spread = [c for s in shards if s.split == split for c in s.clips]
      self.assertEqual(spread, [c for c in clips if c.split == split])

  def test_a_small_split_has_a_shard_for_each_clip(self):
    clips, _ = plan.plan_clips([_request("a")] * 2, {"a": Probe("a", duration_sec=5.0)}, CUTTING)
    names = [shard.name for shard in plan.plan_shards(clips, 16)]
    self.assertEqual(names, [f"train-0000{i}-of-00002.tfrecord" for i in range(2)])

  def test_large_splits_have_more_shards(self):
    requests = [_request(str(i), split="test" if i % 4 == 0 else "train") for i in range(20)]
    probes = {str(i): Probe(str(i), duration_sec=5.0) for i in range(20)}
    clips, _ = plan.plan_clips(requests, probes, CUTTING)
    shards = plan.plan_shards(clips, 2, max_shard_clips=4)
    self.assertEqual([(s.split, len(s.clips)) for s in shards],
                     [("test", 2), ("test", 3), *[("train", n) for n in (3, 4, 4, 4)]])  # fmt: skip
    self.assertEqual(plan.plan_shards(clips, 7, max_shard_clips=4), plan.plan_shards(clips, 7))

  def test_files_whose_channels_are_kept_must_agree(self):
    probes = {"a": Probe("a", num_channels=4), "b": Probe("b", reason="?", num_channels=0)}
    self.assertEqual(plan.common_num_channels(probes), 4)
    probes["c"] = Probe("c", num_channels=2)
    with self.assertRaisesRegex(ValueError, "4 channels in 1 .such as 'a'.*2 .* in 1 .such as 'c'"):
      plan.common_num_channels(probes)


class ProbeJournalTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    fake_source.write_files(folder.name, ["4.0", "unreadable"])
    self.paths = [os.path.join(folder.name, name) for name in ("00", "01", "missing")]
    self.journal_path = os.path.join(folder.name, "probes.jsonl")

  def probe(self):
    """Probes what is missing; returns the journal and the number of files that were probed."""
    journal = ProbeJournal(self.journal_path)
    with mock.patch.object(
      fake_source.FakeReader, "probe", autospec=True, side_effect=fake_source.FakeReader.probe
    ) as probe:
      journal.probe_missing(
        self.paths, fake_source.FakeReader(), ["video", "audio"], LocalEngine(0), lambda done: None
      )
    return journal, probe.call_count

  def test_what_is_known_is_not_probed_again(self):
    journal, count = self.probe()
    self.assertEqual(count, 3)
    found = [journal.probes[path] for path in self.paths]
    self.assertEqual(found[0].duration_sec, 4.0)
    self.assertEqual(found[1].reason, "not a video: it is a test")
    self.assertIn("No such file", found[2].reason)
    again, count = self.probe()
    self.assertEqual(count, 0)
    self.assertEqual(again.probes, journal.probes)

  def test_half_a_line_at_the_end_is_dropped(self):
    self.probe()
    with open(self.journal_path, "rb+") as f:
      f.truncate(os.path.getsize(self.journal_path) - 5)
    _, count = self.probe()
    self.assertEqual(count, 1)
    with open(self.journal_path) as f:
      self.assertLen([json.loads(line) for line in f], 3)

  def test_changed_files_are_told(self):
    journal, _ = self.probe()
    self.assertEmpty(journal.changed(self.paths))
    with open(self.paths[0], "a") as f:
      f.write(" ")
    self.assertEqual(journal.changed(self.paths), [self.paths[0]])


if __name__ == "__main__":
  absltest.main()

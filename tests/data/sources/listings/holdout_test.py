"""Tests of holding out files for testing."""

import os
import unittest

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.holdout import hold_out


def _request(name, label=None, split="train", start_sec=None):
  labels = () if label is None else (label,)
  return ClipRequest(split, f"/videos/{name}", start_sec, None, labels, name)


class HoldOutTest(unittest.TestCase):

  def _test_files(self, requests):
    return {request.media_id for request in requests if request.split == "test"}

  def test_takes_the_share_of_each_class_and_keeps_the_order(self):
    requests = [_request(f"{label}/{i}.mp4", label) for label in "ab" for i in range(20)]
    result = hold_out(requests, 0.1)
    self.assertEqual([r.media_id for r in result], [r.media_id for r in requests])
    for label in "ab":
      self.assertEqual(sum(r.split == "test" for r in result if r.labels == (label,)), 2)

  def test_the_clips_of_a_file_stay_together(self):
    requests = [_request(f"{i}.mp4", start_sec=s) for i in range(10) for s in (0.0, 10.0)]
    result = hold_out(requests, 0.3)
    train = {r.media_id for r in result if r.split == "train"}
    self.assertEqual(len(self._test_files(result)), 3)
    self.assertFalse(train & self._test_files(result))

  def test_follows_from_the_names_alone(self):
    requests = [_request(f"{i}.mp4") for i in range(50)]
    chosen = self._test_files(hold_out(requests, 0.2))
    self.assertEqual(chosen, self._test_files(hold_out(requests[::-1], 0.2)))
    more = self._test_files(hold_out([*requests, _request("new.mp4")], 0.2))
    self.assertLessEqual(len(chosen ^ more), 2)

  def test_takes_one_of_few_and_none_of_one(self):
    self.assertEqual(len(self._test_files(hold_out([_request("a"), _request("b")], 0.1))), 1)
    self.assertEqual(self._test_files(hold_out([_request("a")], 0.1)), set())

  def test_takes_names_that_are_not_text(self):
    requests = [_request(name) for name in ("a.mp4", os.fsdecode(b"b\xff.mp4"))]
    self.assertEqual(len(self._test_files(hold_out(requests, 0.5))), 1)

  def test_leaves_data_with_splits_alone(self):
    requests = [_request(f"{i}.mp4") for i in range(9)] + [_request("v.mp4", split="validation")]
    self.assertEqual(hold_out(requests, 0.5), requests)
    self.assertEqual(hold_out(requests[:9], 0.0), requests[:9])

  def test_refuses_what_is_no_share(self):
    for fraction in (-0.1, 1.0):
      with self.assertRaisesRegex(ValueError, "share"):
        hold_out([_request("a")], fraction)


if __name__ == "__main__":
  unittest.main()

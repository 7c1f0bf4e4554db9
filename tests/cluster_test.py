"""Tests of the role of this process in `TF_CONFIG`."""

import json
import os
from unittest import mock

from absl.testing import absltest, parameterized

from avssl_tf import cluster, errors


def _tf_config(task=None, **addresses):
  return mock.patch.dict(
    os.environ, {"TF_CONFIG": json.dumps({"cluster": addresses, "task": task or {}})}
  )


class ClusterTest(parameterized.TestCase):

  @parameterized.parameters(
    ({"type": "worker", "index": 0}, {"worker": ["a:1", "b:1"]}, True),
    ({"type": "worker", "index": 1}, {"worker": ["a:1", "b:1"]}, False),
    ({"type": "chief", "index": 0}, {"chief": ["a:1"], "worker": ["b:1"]}, True),
    ({"type": "worker", "index": 0}, {"chief": ["a:1"], "worker": ["b:1"]}, False),
    ({}, {}, True),
  )
  def test_chief(self, task, addresses, expected):
    with _tf_config(task, **addresses):
      self.assertEqual(cluster.is_chief(), expected)

  def test_the_chief_is_the_first_worker(self):
    with _tf_config(chief=["a:1"], worker=["b:1", "c:1"]):
      self.assertEqual(cluster.workers(), ["a:1", "b:1", "c:1"])
    with mock.patch.dict(os.environ, {"TF_CONFIG": ""}):
      self.assertEqual(cluster.workers(), [])

  @parameterized.parameters("{", "[]", '{"cluster": {"worker": "a:1"}}', '{"task": 3}')
  def test_config_that_is_not_understood(self, text):
    with mock.patch.dict(os.environ, {"TF_CONFIG": text}):
      with self.assertRaisesRegex(errors.UserError, "TF_CONFIG is invalid"):
        cluster.is_chief()


if __name__ == "__main__":
  absltest.main()

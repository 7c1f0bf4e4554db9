"""Tests of agreement and of its nearest rows against a slow search and the reference."""

import subprocess
import sys

import numpy as np
import tensorflow as tf

from avssl_tf.losses import agreement
from tests import source_tree, test_base

GOLDEN = source_tree.ROOT / "tests/testdata/avid_losses.npz"
KINDS = {
  "consensus": np.minimum,
  "union": np.maximum,
  "video": lambda video, audio: video,
  "audio": lambda video, audio: audio,
}
# Mines the banks of banks.npz on two devices, each with half of the queries.
_TWO_REPLICAS = """
import sys

import numpy as np
import tensorflow as tf

from avssl_tf.losses import agreement

folder = sys.argv[1]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
banks = np.load(f"{folder}/banks.npz")
with strategy.scope():
  video, audio = (tf.Variable(banks[name], trainable=False) for name in ("video", "audio"))


def mine():
  first = 30 * tf.distribute.get_replica_context().replica_id_in_sync_group
  return agreement.nearest(video, audio, first + tf.range(30), 4)


found = tf.function(lambda: strategy.run(mine))()
np.save(f"{folder}/found.npy", np.concatenate(strategy.experimental_local_results(found)))
"""


def slow_nearest(video, audio, queries, k, kind):
  """Nearest rows one query at a time, by sorting (-agreement, row number): int `[Q, k]`."""
  result = []
  for query in queries:
    value = KINDS[kind](video @ video[query], audio @ audio[query])
    others = [row for row in range(len(video)) if row != query]
    result.append(sorted(others, key=lambda row: (-value[row], row))[:k])
  return np.array(result)


class AgreementTest(test_base.TestCase):

  def test_is_its_definition(self):
    video, audio = tf.constant([0.5, -0.2]), tf.constant([-0.1, 0.4])
    for kind, expected in (
      ("consensus", [-0.1, -0.2]), ("union", [0.5, 0.4]),
      ("video", [0.5, -0.2]), ("audio", [-0.1, 0.4]),
    ):  # fmt: skip
      self.assertAllEqual(agreement.agreement(video, audio, kind), np.float32(expected), kind)

  def test_refuses_another_kind(self):
    with self.assertRaisesRegex(ValueError, "'both'; expected one of consensus, union, video"):
      agreement.agreement(tf.zeros([1]), tf.zeros([1]), "both")


class NearestTest(test_base.TestCase):

  def unit_rows(self, num_rows, dim=16):
    """Random unit rows."""
    rows = self.rng.standard_normal((num_rows, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

  def tied_rows(self, num_rows):
    """Unit rows with many duplicates, whose products are exact: ties in any order of addition."""
    return self.rng.choice([-0.5, 0.5], (num_rows, 4)).astype(np.float32)

  def test_finds_the_sets_of_the_reference(self):
    golden = np.load(GOLDEN)
    video, audio = golden["cma_bank_v"], golden["cma_bank_a"]
    for kind in agreement.AGREEMENTS:
      expected = golden[f"cma_positives/{kind}"]
      for gallery_block in (65536, 33):
        found = agreement.nearest(
          video, audio, np.arange(len(video)), expected.shape[1], kind, gallery_block
        )
        self.assert_shape(found, expected.shape, tf.int32)
        self.assertAllEqual(np.sort(found, axis=1), np.sort(expected, axis=1), kind)

  def test_equals_a_slow_search(self):
    # Sixteenths, so that no product is rounded and the order is the same in any arithmetic.
    video, audio = self.rng.integers(-16, 17, (2, 500, 16)).astype(np.float32) / 16
    queries = self.rng.integers(0, 500, 20)
    for kind in agreement.AGREEMENTS:
      for k in (1, 7, 60, 499):
        for gallery_block in (500, 131):
          found = agreement.nearest(video, audio, queries, k, kind, gallery_block)
          expected = slow_nearest(video, audio, queries, k, kind)
          self.assertAllEqual(found, expected, f"{kind}, k={k}, gallery_block={gallery_block}")

  def test_ties_go_to_the_lowest_row(self):
    for num_rows, gallery_blocks in ((9, (1, 2, 7)), (67, (7, 64, 67)), (300, (64, 1000))):
      video, audio = self.tied_rows(num_rows), self.tied_rows(num_rows)
      queries = np.arange(num_rows)
      for kind in agreement.AGREEMENTS:
        for k in (1, 3, 8):
          expected = slow_nearest(video, audio, queries, k, kind)
          for gallery_block in gallery_blocks:
            found = agreement.nearest(video, audio, queries, k, kind, gallery_block)
            self.assertAllEqual(found, expected, f"{num_rows} rows, {kind}, {k}, {gallery_block}")

  def test_leaves_out_the_query_and_not_its_duplicates(self):
    rows = np.tile(np.float32([[0.5, 0.5, 0.5, 0.5]]), [6, 1])
    for gallery_block in (6, 4):
      found = agreement.nearest(rows, rows, [0, 3, 5], 5, gallery_block=gallery_block)
      self.assertAllEqual(found, [[1, 2, 3, 4, 5], [0, 1, 2, 4, 5], [0, 1, 2, 3, 4]])

  def test_takes_shapes_known_when_the_graph_runs(self):
    unknown = tf.TensorSpec([None, None])
    nearest = tf.function(
      lambda video, audio, queries: agreement.nearest(video, audio, queries, 5, gallery_block=32),
      input_signature=[unknown, unknown, tf.TensorSpec([None], tf.int64)],
    )
    for num_rows in (6, 100):
      video, audio = self.unit_rows(num_rows), self.unit_rows(num_rows)
      queries = np.arange(num_rows)
      expected = slow_nearest(video, audio, queries, 5, "consensus")
      self.assertAllEqual(nearest(video, audio, queries), expected)
    with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "k must be below"):
      nearest(video[:5], audio[:5], queries[:1])

  def test_no_queries_give_no_rows(self):
    rows = self.unit_rows(10)
    self.assert_shape(agreement.nearest(rows, rows, np.zeros([0], np.int64), 3), [0, 3], tf.int32)

  def test_replicas_share_the_queries(self):
    video, audio = self.unit_rows(60), self.unit_rows(60)
    folder = self.get_temp_dir()
    np.savez(f"{folder}/banks.npz", video=video, audio=audio)
    # A process of its own: a process that has run something cannot split its CPU any more.
    result = subprocess.run(
      [sys.executable, "-c", _TWO_REPLICAS, folder],
      cwd=source_tree.ROOT,
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertEqual(result.returncode, 0, result.stderr)
    expected = slow_nearest(video, audio, np.arange(60), 4, "consensus")
    self.assertAllEqual(np.load(f"{folder}/found.npy"), expected)

  def test_refuses_what_cannot_be_mined(self):
    rows = self.unit_rows(8)
    for k, other, kind, block, message in (
      (8, rows, "consensus", 4, "k=8 is too large: in a bank of 8 rows .* 7 others.* at most 7"),
      (0, rows, "consensus", 4, "k is 0; expected 1 or more"),
      (2, rows[:7], "consensus", 4, r"got \(8, 16\) for video and \(7, 16\) for audio"),
      (2, rows, "mean", 4, "agreement is 'mean'; expected one of"),
      (2, rows, "union", 0, "gallery_block is 0; expected 1 or more"),
    ):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        agreement.nearest(rows, other, [0], k, kind, block)

  def test_full_precision_is_put_back(self):
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    with self.assertRaises(KeyError), agreement.full_precision():
      self.assertFalse(enabled())
      raise KeyError
    self.assertEqual(enabled(), before)


if __name__ == "__main__":
  tf.test.main()

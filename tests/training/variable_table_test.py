"""Tests of the table of variables."""

import tempfile

import tensorflow as tf

from avssl_tf.training import variable_table
from tests import test_base, tiny_run


class VariableTableTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    network = tiny_run.TinyNetwork(batch_norm=True)
    self.task = tiny_run.task(network=network, num_videos=2000)
    data = {"video": tf.zeros([2, 2, 16, 16, 3], tf.uint8), "audio": tf.zeros([2, 2400, 1])}
    self.task(data)

  def test_names_are_those_of_checkpoints(self):
    names = variable_table.paths(self.task)
    self.assertEqual(set(names), {id(v) for v in self.task.variables})
    with tempfile.TemporaryDirectory() as folder:
      path = tf.train.Checkpoint(task=self.task).write(f"{folder}/ckpt")
      stored = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    for name in names.values():
      self.assertIn(f"task/{name}/.ATTRIBUTES/VARIABLE_VALUE", stored)

  def test_table(self):
    lines = variable_table.variable_table(self.task).splitlines()
    rows = [line.split() for line in lines]
    self.assertIn(["network/video_net/kernel", "(3,", "4)", "12"], rows)
    self.assertIn(["objective/video_bank/rows", "(2000,", "4)", "8,000"], rows)
    trained = sum(v.shape.num_elements() for v in self.task.trainable_variables)
    others = sum(v.shape.num_elements() for v in self.task.non_trainable_variables)
    self.assertEqual(rows[-1], ["all", str(trained), f"{others:,}"])
    self.assertLen({len(line) for line in lines if line}, 1)


if __name__ == "__main__":
  tf.test.main()

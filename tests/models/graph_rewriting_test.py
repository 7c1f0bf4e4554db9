"""Tests of the settings of graph rewriting."""

import unittest

import tensorflow as tf

from avssl_tf.models import graph_rewriting


class WithoutRemappingTest(unittest.TestCase):

  def test_is_off_inside_and_on_after_an_error(self):
    with self.assertRaises(KeyError), graph_rewriting.without_remapping():
      self.assertIs(tf.config.optimizer.get_experimental_options()["remapping"], False)
      raise KeyError
    self.assertIs(tf.config.optimizer.get_experimental_options()["remapping"], True)


if __name__ == "__main__":
  unittest.main()

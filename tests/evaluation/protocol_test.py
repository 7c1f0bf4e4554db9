"""Tests of the settings of a protocol, and of its selection by gin."""

import dataclasses
import json
import unittest
from typing import Any, Callable, Optional

import gin

from avssl_tf.data.pipeline.clip_spec import Augmentation
from avssl_tf.evaluation import protocol
from avssl_tf.training.configurations.settings import Settings

_CALLS = []


@gin.register(module="protocol_test")
def make_something(rate=1.0):
  """A part that a protocol calls."""
  return rate


@gin.register(module="protocol_test")
@dataclasses.dataclass(frozen=True)
class Example:
  """A protocol that records its arguments."""

  number: int = 3
  folds: tuple[str, ...] = ("a", "b")
  augmentation: Optional[Augmentation] = None
  part: Callable[..., Any] = make_something
  added: int = protocol.added_field(7)

  def __call__(self, encoder, data_dir, results, work_dir, progress=False):
    _CALLS.append((self, encoder, data_dir, results, work_dir, progress))


class ProtocolTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    gin.clear_config()

  def settings(self, text):
    """Settings of the protocol that gin text binds."""
    gin.parse_config(text)
    bindings = Settings.parse(gin.config_str()).resolved()
    return protocol.settings(gin.get_bindings("evaluate")["protocol"], bindings)

  def test_fields_of_later_versions_count_once_they_are_set(self):
    for value, expected in ((7, None), (8, 8)):
      gin.clear_config()
      found = self.settings(f"evaluate.protocol = @Example()\nExample.added = {value}")
      self.assertEqual(found.get("Example.added"), expected)

  def test_settings_hold_defaults(self):
    found = self.settings("evaluate.protocol = @Example()")
    self.assertEqual(
      found,
      {
        "Example.number": 3,
        "Example.folds": ("a", "b"),
        "Example.augmentation": None,
        "Example.part": "'make_something'",
      },
    )

  def test_settings_hold_what_is_bound(self):
    found = self.settings(
      """
      evaluate.protocol = @Example()
      count = 5
      protocol_test.Example.number = %count
      Example.augmentation = @Augmentation()
      Augmentation.hue = 0.125
      Example.part = @quick/make_something
      quick/make_something.rate = 2.0
      """
    )
    self.assertEqual(found["Example.number"], 5)
    self.assertEqual(found["Example.augmentation"]["hue"], 0.125)
    self.assertEqual(found["Example.augmentation"]["contrast"], 0.4)
    self.assertEqual(found["Example.part"], "@quick/make_something")
    self.assertEqual(found["quick/make_something.rate"], 2.0)
    self.assertNotIn("evaluate.protocol", found)
    json.dumps(found)

  def test_other_parts_are_other_settings(self):
    one = self.settings("evaluate.protocol = @Example()")
    other = self.settings("Example.part = @make_something")
    self.assertNotEqual(one, other)

  def test_evaluate_calls_what_gin_binds(self):
    gin.parse_config("evaluate.protocol = @Example()\nExample.number = 7")
    protocol.evaluate("encoder", "data", "results", "work", progress=True)
    self.assertEqual(_CALLS.pop(), (Example(number=7), "encoder", "data", "results", "work", True))


if __name__ == "__main__":
  unittest.main()

"""Tests of parsing gin text."""

import unittest

from avssl_tf.training.configurations import settings

TEXT = """
# A comment.
include "gin/other.gin"
size = 3
sizes = (%size, 4)
part.width = %size
part.widths = %sizes
part.kind = @Kind()
scope/part.table = {"a": [%size, None]}
part.long = \\
    ("one",
     "two")
"""


class SettingsTest(unittest.TestCase):

  def test_values_with_macros_in_their_place(self):
    found = settings.Settings.parse(TEXT).resolved()
    self.assertEqual(
      found,
      {
        "part.width": 3,
        "part.widths": (3, 4),
        "part.kind": settings.Reference("@Kind()"),
        "scope/part.table": {"a": [3, None]},
        "part.long": ("one", "two"),
      },
    )

  def test_macros_scopes_and_includes(self):
    parsed = settings.Settings.parse(TEXT + "whole.part = @scope/part\nwhole.x = %far/off\n")
    self.assertEqual(set(parsed.macros), {"size", "sizes"})
    self.assertEqual(set(parsed.macros_used()), {"size", "sizes", "far/off"})
    self.assertEqual(parsed.scopes_used(), {"scope"})
    self.assertEqual(parsed.references()[settings.Reference("@scope/part")], "whole.part")
    self.assertEqual(settings.included_files(TEXT), ["gin/other.gin"])

  def test_macro_of_itself_ends(self):
    parsed = settings.Settings.parse("a = %b\nb = %a\nx.y = %a\n")
    self.assertEqual(repr(parsed.resolved()["x.y"]), "%a")

  def test_table(self):
    text = "n = 2\nzoo.a = %n\nscope/Cat.b = 'x'\nCat.b = None\ntrain.t = @Zoo\n"
    self.assertEqual(
      settings.Settings.parse(text).table(),
      "  Cat.b = None\n  scope/Cat.b = 'x'\n  train.t = @Zoo\n  zoo.a = 2",
    )

  def test_differences(self):
    then = settings.Settings.parse("n = 2\na.x = %n\na.y = 1\nb.z = 1\nc.w = 5\nd.f = @g\nd.h = 1")
    now = settings.Settings.parse("a.x = 2\na.y = 3\nb.new = 1\ne.w = 6\nd.h = 1\n")
    # Macros, other configurables and new parameters are not differences, but a function is
    # that was set and is the default again.
    self.assertEqual(
      then.differences(now), {"a.y": (1, 3), "d.f": (settings.Reference("@g"), settings.DEFAULT)}
    )
    self.assertEqual(then.differences(then), {})


if __name__ == "__main__":
  unittest.main()

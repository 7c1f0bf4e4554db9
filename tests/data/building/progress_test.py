"""Tests of the progress bar."""

import io
from unittest import mock

from absl.testing import absltest

from avssl_tf.data.building.progress import ProgressBar


class Terminal(io.StringIO):
  def isatty(self):
    return True


def _shown(stream):
  with mock.patch("sys.stderr", stream), mock.patch("tqdm.std.time") as clock:
    clock.return_value = 0.0
    with ProgressBar("Encoding", "clip", 100, done=20) as bar:
      for count in range(1, 81):
        clock.return_value = count / 4
        bar.reach(count)
  return stream.getvalue().split("\r")[1:]


class ProgressBarTest(absltest.TestCase):
  def test_a_terminal_sees_every_step(self):
    shown = _shown(Terminal())
    self.assertGreater(len(shown), 80)
    self.assertIn(" 20/100 ", shown[0])
    self.assertIn(" 100/100 ", shown[-1])
    # 20 were there before: 40 in 10 s are 4 a second, and 40 are left.
    self.assertIn("60/100 [00:10<00:10,  4.00clip/s]", "".join(shown))

  def test_a_log_is_not_flooded(self):
    shown = _shown(io.StringIO())
    self.assertBetween(len(shown), 3, 5)
    self.assertIn(" 100/100 ", shown[-1])

  def test_nothing_to_do_shows_nothing(self):
    stream = io.StringIO()
    with mock.patch("sys.stderr", stream), ProgressBar("Encoding", "clip", 5, done=5):
      pass
    self.assertEqual(stream.getvalue(), "")


if __name__ == "__main__":
  absltest.main()

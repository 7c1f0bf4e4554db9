"""Tests of the progress bar."""

import io
from unittest import mock

from absl.testing import absltest

from avssl_tf import progress
from avssl_tf.progress import Bar


class _Terminal(io.StringIO):

  def isatty(self):
    return True


def _shown(stream):
  with mock.patch("sys.stderr", stream), mock.patch("tqdm.std.time") as clock:
    clock.return_value = 0.0
    with Bar("Encoding", 100, "clip", done=20, stays=True) as bar:
      for count in range(1, 81):
        clock.return_value = count / 4
        bar.reach(count)
  return stream.getvalue().split("\r")[1:]


class BarTest(absltest.TestCase):

  def test_a_terminal_sees_every_step(self):
    shown = _shown(_Terminal())
    self.assertGreater(len(shown), 80)
    self.assertIn(" 20/100 ", shown[0])
    self.assertIn(" 100/100 ", shown[-1])
    # 20 were done before: 40 in 10 s are 4 per second, and 40 remain.
    self.assertIn("60/100 [00:10<00:10,  4.00clip/s]", "".join(shown))

  def test_a_log_is_not_flooded(self):
    shown = _shown(io.StringIO())
    self.assertBetween(len(shown), 3, 5)
    self.assertIn(" 100/100 ", shown[-1])

  def test_nothing_to_do_shows_nothing(self):
    for options in ({"done": 5}, {"shown": False}, {"logged": False}):
      stream = io.StringIO()
      with mock.patch("sys.stderr", stream), Bar("Encoding", 5, "clip", **options) as bar:
        bar.reach(5 - options.get("done", 0))
      self.assertEqual(stream.getvalue(), "")

  def test_items(self):
    stream = io.StringIO()
    with mock.patch("sys.stderr", stream):
      self.assertEqual(list(Bar("Reading", -1, "batch", items=iter("abc"))), ["a", "b", "c"])
    self.assertRegex(stream.getvalue(), r"Reading: 3batch \[")

  def test_it_tells_seconds_of_a_file_and_the_speed(self):
    with mock.patch("sys.stderr", _Terminal()):
      with Bar.of_seconds("drawing", 20.0) as bar:
        bar.reach(5.0)
        self.assertRegex(str(bar), r"drawing  25%\|.*\| 5/20 s \[.*<.*, [\d.]+x real time\]")
        # Slightly more than the total.
        bar.reach(20.4)
        self.assertRegex(str(bar), r"drawing 100%\|.*\| 20/20 s")
      with Bar.of_seconds("drawing", None) as bar:
        bar.reach(5.0)
        self.assertRegex(str(bar), r"drawing 5 s \[.*, [\d.]+x real time\]")

  def test_seconds_stay_out_of_logs(self):
    with mock.patch("sys.stderr", io.StringIO()) as log:
      with Bar.of_seconds("drawing", 20.0) as bar:
        bar.reach(5.0)
      self.assertEqual(log.getvalue(), "")

  def test_it_tells_files_and_the_rate(self):
    with mock.patch("sys.stderr", _Terminal()), Bar.of_files("embedding", 8, 2) as bar:
      bar.advance(0.5)
      bar.set_postfix_str("3 windows")
      self.assertRegex(
        str(bar), r"embedding  31%\|.*\| 2\.5/8 files \[.*<.*, .*file/s, 3 windows\]"
      )

  def test_files_stay_in_a_log(self):
    with mock.patch("sys.stderr", io.StringIO()) as log:
      with Bar.of_files("embedding", 2) as bar:
        for _ in range(11):
          bar.advance(0.2)
        self.assertEqual(bar.n, 2)
      self.assertIn("2.0/2 files", log.getvalue())


class BarWhenCalledTest(absltest.TestCase):

  def test_it_opens_with_the_first_call(self):
    for calls, expected in (((), ""), (((1, 4), (4, 4)), " 4/4 ")):
      with mock.patch("sys.stderr", io.StringIO()) as log:
        with progress.bar_when_called("Mining", "video") as show:
          for call in calls:
            show(*call)
      self.assertIn(expected, log.getvalue())
      self.assertEqual(bool(log.getvalue()), bool(calls))
    with mock.patch("sys.stderr", io.StringIO()) as log:
      with progress.bar_when_called("Mining", "video", shown=False) as show:
        show(4, 4)
    self.assertEqual(log.getvalue(), "")


if __name__ == "__main__":
  absltest.main()

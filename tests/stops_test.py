"""Tests of stopping by signals, in separate processes."""

import os
import signal
import subprocess
import sys
import time
import unittest

from tests import source_tree

_SCRIPT = """
import os, signal, subprocess, sys, time
from avssl_tf import stops
# Tests that run in the background of a shell inherit that interrupts are ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
stops.SAME_STOP_SEC = 0.2
def say(text):
  print(text, flush=True)
def kill(number=signal.SIGTERM):
  os.kill(os.getpid(), number)
try:
  with stops.handled():
{body}
except KeyboardInterrupt as stop:
  say(f"at once: {{getattr(stop, 'at_once', None)}}")
  stops.end(stop, "Stopped. Do this.")
"""


def _start(body):
  lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
  return subprocess.Popen(
    [sys.executable, "-c", _SCRIPT.format(body=lines)],
    cwd=source_tree.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _run(body):
  process = _start(body)
  output, errors = process.communicate(timeout=60)
  return process.returncode, output.split("\n")[:-1], errors


class StopsTest(unittest.TestCase):

  def test_a_signal_ends_with_its_status_and_a_message(self):
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
      code, output, errors = _run(f"kill({int(number)})\nsay('never')")
      self.assertEqual((code, output), (status, ["at once: False"]))
      self.assertEqual(errors, "\nStopped. Do this.\n")

  def test_a_library_that_replaces_the_exception_and_handlers(self):
    code, output, errors = _run("""
with stops.kept_from_others():
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  # Processes inherit the blocked signals; bit 1 is Ctrl-C.
  status = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE, text=True).stdout
say(int(status.split("SigBlk:")[1].split()[0], 16) & 2)
try:
  kill()
except KeyboardInterrupt:
  raise KeyboardInterrupt from None
""")
    self.assertEqual((code, output), (143, ["2", "at once: None"]), errors)

  def test_put_off_to_a_good_moment(self):
    code, output, errors = _run("""
with stops.held():
  kill()
  say(stops.requested())
  kill(signal.SIGINT)  # Of the same stop.
  say("step done")
say("never")
""")
    self.assertEqual((code, output), (143, ["True", "step done", "at once: False"]))
    self.assertIn("Stopping after this step", errors)

  def test_long_work_between_is_broken_off(self):
    for when in ("before", "within"):
      code, output, _ = _run(f"""
with stops.held():
  if "{when}" == "before":
    kill()
  with stops.allowed():
    if "{when}" == "within":
      kill()
    say("never")
""")
      self.assertEqual((code, output), (143, ["at once: False"]))

  def test_a_second_signal_does_not_wait(self):
    code, output, _ = _run("""
with stops.held():
  kill()
  time.sleep(0.3)
  kill(signal.SIGINT)
  say("never")
""")
    self.assertEqual((code, output), (143, ["at once: True"]))

  def test_cleaning_up_is_not_broken_off_by_the_same_stop(self):
    _, output, _ = _run("try:\n  kill()\nfinally:\n  kill()\n  say('clean')")
    self.assertEqual(output, ["clean", "at once: False"])

  def test_ignored_signals_stay_so_and_handlers_come_back(self):
    code, output, _ = _run("""
signal.signal(signal.SIGINT, signal.SIG_IGN)
before = signal.getsignal(signal.SIGTERM)
with stops.handled():
  kill(signal.SIGINT)
say(signal.getsignal(signal.SIGTERM) is before)
""")
    self.assertEqual((code, output), (0, ["True"]))

  def test_a_command_ends_with_its_parent(self):
    child = (
      "import time\\nfrom avssl_tf import stops\\n"
      "try:\\n  with stops.handled():\\n    print('ready', flush=True)\\n    time.sleep(60)\\n"
      "except stops.Stopped:\\n  print('stopped', flush=True)\\n"
    )
    parent = _start(f"""
import subprocess
subprocess.Popen([sys.executable, "-c", "{child}"], env={{**os.environ, **stops.with_parent()}})
time.sleep(60)
""")
    self.assertEqual(parent.stdout.readline(), "ready\n")
    started = time.monotonic()
    parent.kill()
    self.assertEqual(parent.stdout.read(), "stopped\n")  # Until the last process ends.
    self.assertLess(time.monotonic() - started, 30)
    parent.communicate()

  def test_a_parent_that_is_gone_before(self):
    environment = {**os.environ, "AVSSL_TF_STOP_WITH_PARENT": "1"}
    script = "from avssl_tf import stops\nwith stops.handled():\n  print('never')"
    process = subprocess.run(
      [sys.executable, "-c", script],
      cwd=source_tree.ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    self.assertEqual(process.stdout, "")
    self.assertIn("Stopped: SIGTERM", process.stderr)


if __name__ == "__main__":
  unittest.main()

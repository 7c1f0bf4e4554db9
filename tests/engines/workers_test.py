"""Tests of the worker processes: results, crashes and shutdown."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

from absl.testing import absltest

from avssl_tf.engines import engine, workers
from tests.engines import fake_tasks

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class WorkersTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.marker = os.path.join(folder.name, "marker")

  def test_all_tasks_are_done_here_and_in_processes(self):
    tasks = [[1, 2], [], [3], [4, 5, 6]]
    for num_workers in (0, 2):
      begun = []
      results = dict(workers.run(fake_tasks.double, tasks, num_workers, begun.append))
      self.assertEqual(results, {0: [2, 4], 1: [], 2: [6], 3: [8, 10, 12]})
      self.assertEqual(begun[-1], 6)
      self.assertEqual(begun, sorted(begun))

  def test_few_tasks_are_waited_for_at_a_time(self):
    wait = concurrent.futures.wait
    with mock.patch.object(concurrent.futures, "wait", side_effect=wait) as waited:
      results = dict(workers.run(fake_tasks.double, [[i] for i in range(100)], 2))
    self.assertEqual(results, {i: [2 * i] for i in range(100)})
    self.assertLess(max(len(call.args[0]) for call in waited.call_args_list), 10)

  def test_a_process_killed_once_is_replaced(self):
    tasks = [[1, f"crash once {self.marker}", 2], [3], [4]]
    results = dict(workers.run(fake_tasks.double, tasks, 2))
    self.assertEqual(results, {0: [2, self.marker, 4], 1: [6], 2: [8]})

  def test_items_that_kill_are_left_out_and_nothing_else(self):
    tasks = [[1, "crash", 2, "crash"], [3, 4], ["crash", 5]]
    results = dict(workers.run(fake_tasks.double, tasks, 2))
    crashed = engine.CRASHED
    self.assertEqual(results, {0: [2, crashed, 4, crashed], 1: [6, 8], 2: [crashed, 10]})

  def test_processes_that_cannot_start_end_the_run(self):
    with self.assertRaisesRegex(engine.WorkerError, "die at startup"):
      list(workers.run(fake_tasks.double, [[fake_tasks.CannotStart()]], 1))

  def test_an_error_stops_the_others_at_their_next_item(self):
    slow = [f"slow {self.marker}"] * 50
    with self.assertRaisesRegex(KeyError, "raise"):
      list(workers.run(fake_tasks.double, [["raise"], slow], 2))
    time.sleep(1)
    begun = self.count_begun()
    time.sleep(1)
    self.assertEqual(self.count_begun(), begun)
    self.assertLess(begun, 50)

  def test_workers_end_with_a_parent_that_is_killed(self):
    script = (
      "from avssl_tf.engines import workers\n"
      "from tests.engines import fake_tasks\n"
      "if __name__ == '__main__':\n"
      f"  list(workers.run(fake_tasks.double, [['slow {self.marker}'] * 500] * 2, 2))\n"
    )
    path = f"{self.marker}.py"
    with open(path, "w") as f:
      f.write(script)
    process = subprocess.Popen([sys.executable, path], env={**os.environ, "PYTHONPATH": REPOSITORY})
    while not self.count_begun():
      self.assertIsNone(process.poll(), "It was to be killed, but has ended already.")
      time.sleep(0.02)
    process.kill()
    process.wait()
    with open(self.marker) as f:
      pids = {int(line) for line in f}
    give_up = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
      self.assertLess(time.monotonic(), give_up, "A worker outlived its parent.")
      time.sleep(0.05)

  def test_an_interrupt_while_they_start_is_the_parents_alone(self):
    script = (
      "import signal, time\n"
      "from avssl_tf.engines import workers\n"
      "from tests.engines import fake_tasks\n"
      "if __name__ == '__main__':\n"
      # Background processes of a shell inherit ignored interrupts.
      "  signal.signal(signal.SIGINT, signal.default_int_handler)\n"
      "  try:\n"
      "    list(workers.run(fake_tasks.double, [[1]] * 9, 2))\n"
      "  except KeyboardInterrupt:\n"
      "    print('stopped')\n"
      "else:\n"
      f"  open({self.marker!r}, 'w').close()\n"
      "  time.sleep(2)\n"
    )
    path = f"{self.marker}.py"
    with open(path, "w") as f:
      f.write(script)
    process = subprocess.Popen(
      [sys.executable, path],
      env={**os.environ, "PYTHONPATH": REPOSITORY},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      start_new_session=True,
    )
    while not os.path.exists(self.marker):
      self.assertIsNone(process.poll(), "It was to be interrupted, but has ended already.")
      time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # Like a terminal.
    output, errors = process.communicate()
    self.assertEqual((output, errors), ("stopped\n", ""))

  def count_begun(self):
    if not os.path.exists(self.marker):
      return 0
    with open(self.marker) as f:
      return len(f.readlines())


if __name__ == "__main__":
  absltest.main()

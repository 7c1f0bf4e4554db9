"""Task functions for the tests of the workers; small, because each process imports them."""

import errno
import os
import signal
import time


def double(task, monitor):
  """Doubles the items of a task. Items that are strings name a failure to cause."""
  results = []
  for number, item in enumerate(task):
    if number in monitor.skip:
      results.append(monitor.skip[number])
      continue
    monitor.begin(number)
    results.append(_double(item))
  return results


def _double(item):
  if item == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
  if isinstance(item, str) and item.startswith("crash once "):
    marker = item.split()[-1]
    if not os.path.exists(marker):
      with open(marker, "w"):
        pass
      os.kill(os.getpid(), signal.SIGKILL)
    return marker
  if item == "raise":
    raise KeyError("raise")
  if isinstance(item, str) and item.startswith("slow "):
    with open(item.split()[-1], "a") as f:
      f.write(f"{os.getpid()}\n")
    time.sleep(0.2)
    return item
  return 2 * item


class CannotStart:
  """A task that kills the process that receives it."""

  def __reduce__(self):
    return os._exit, (1,)


def _node():
  import ray

  return ray.get_runtime_context().get_node_id()


def meet(task, monitor):
  """Returns the node that runs the task once two nodes have written a file to the folder `task`."""
  del monitor
  with open(os.path.join(task, _node()), "w", encoding="utf-8"):
    pass
  give_up = time.monotonic() + 60
  while len(os.listdir(task)) < 2 and time.monotonic() < give_up:
    time.sleep(0.05)
  return _node()


def fails_on_first_node(task, monitor):
  """Fails on the node that runs the first such task, which it writes to the file `task`."""
  del monitor
  place = _node()
  try:
    with open(task, "x", encoding="utf-8") as f:
      f.write(place)
  except FileExistsError:
    pass
  with open(task, encoding="utf-8") as f:
    if f.read() == place:
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), task)
  return place

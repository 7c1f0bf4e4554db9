"""Flags `--engine` and `--ray_address`, and the engine that they select."""

import os
import socket
from typing import Optional

from avssl_tf.engines.engine import Engine, WorkerError
from avssl_tf.engines.workers import LocalEngine
from avssl_tf.errors import UserError

LOCAL = "local"
RAY = "ray"
ENGINES = (LOCAL, RAY)
ENGINE_HELP = (
  "What runs the work: processes of this machine (local), or Ray, on one machine or a cluster."
)
RAY_ADDRESS_HELP = (
  "--engine=ray: address of a running cluster, such as auto or host:6379; by default, a cluster of "
  "this machine is started for the command."
)
_CONNECT_SEC = 10.0


def choose(
  name: str, num_workers: int, ray_address: Optional[str], uses_gpus: bool = False
) -> Engine:
  """The engine that the flags select.

  Args:
    name: one of `ENGINES`.
    num_workers: processes on this machine; a running cluster determines their number itself.
    ray_address: address of a running Ray cluster; None starts one.
    uses_gpus: whether each worker on a machine with GPUs gets one.

  Raises:
    UserError: there is an address, but another engine.
    WorkerError: Ray is not installed, or nothing answers at the address.
  """
  if name == RAY:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:  # Not at the top: Ray is optional.
      from avssl_tf.engines.ray_engine import RayEngine
    except ImportError as error:
      raise WorkerError(
        f"--engine=ray requires Ray, which cannot be imported ({error}). Install it with `pip "
        "install .[ray]`, or use --engine=local."
      ) from error
    _check_address(ray_address)
    return RayEngine(ray_address, max(1, num_workers), uses_gpus)
  if ray_address is not None:
    raise UserError(f"--ray_address={ray_address} requires --engine=ray.")
  return LocalEngine(num_workers)


def _check_address(address: Optional[str]) -> None:
  """Checks that something answers at an address with a port; Ray would wait for minutes."""
  host, _, port = (address or "").rpartition(":")
  if not (host and port.isdigit()):
    return
  try:
    socket.create_connection((host, int(port)), _CONNECT_SEC).close()
  except OSError as error:
    raise WorkerError(
      f"--ray_address={address}: no Ray cluster answers there ({error}). Start one with `ray start "
      "--head` on this machine and `ray start --address=<host>:6379` on the others."
    ) from error

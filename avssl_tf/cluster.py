"""The role of this process in a training cluster, from `TF_CONFIG`."""

import json
import os

from avssl_tf.errors import UserError


def is_chief() -> bool:
  """Whether this process writes the files of the run: the chief, worker 0, or the only process.

  Raises:
    UserError: `TF_CONFIG` is invalid.
  """
  config = _tf_config()
  task = config.get("task", {})
  if "chief" in config.get("cluster", {}):
    return task.get("type") == "chief"
  return task.get("index", 0) == 0


def workers() -> list[str]:
  """Addresses of the processes of the cluster, the chief first; empty without `TF_CONFIG`.

  Raises:
    UserError: `TF_CONFIG` is invalid.
  """
  cluster = _tf_config().get("cluster", {})
  return [*cluster.get("chief", []), *cluster.get("worker", [])]


def _tf_config() -> dict:
  text = os.environ.get("TF_CONFIG") or "{}"
  try:
    config = json.loads(text)
    addresses = config.get("cluster", {}).get("worker", [])
    config.get("task", {}).get("index", 0)
    if not isinstance(addresses, list):
      raise TypeError(f"worker is {addresses!r}")
  except (ValueError, TypeError, AttributeError) as error:
    raise UserError(
      f"TF_CONFIG is invalid ({error}): {text!r}. Expected JSON such as "
      '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
      '"task": {"type": "worker", "index": 0}}.'
    ) from error
  return config

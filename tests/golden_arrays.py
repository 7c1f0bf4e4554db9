"""The input arrays of the golden values: pure functions of their names."""

import zlib
from collections.abc import Sequence

import numpy as np

_SEED = 1


def generator(name: str) -> np.random.RandomState:
  """The random number generator of the array `name`."""
  return np.random.RandomState((zlib.crc32(name.encode()) ^ _SEED) & 0x7FFFFFFF)


def weight(name: str, shape: Sequence[int]) -> np.ndarray:
  """A weight in PyTorch's layout, with a suitable standard deviation."""
  numbers, last = generator(name), name.split(".")[-1]
  if last == "num_batches_tracked":
    return np.zeros(shape, np.int64)
  if last == "running_var" or (last == "weight" and len(shape) == 1):
    return numbers.uniform(0.5, 1.5, shape).astype(np.float32)
  scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
  return numbers.normal(0, scale, shape).astype(np.float32)


def network_input(name: str, shape: Sequence[int]) -> np.ndarray:
  """An input: standard normal numbers."""
  return generator(f"input/{name}").standard_normal(shape).astype(np.float32)

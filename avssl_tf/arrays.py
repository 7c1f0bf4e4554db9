"""NPZ files: writing, and safe reading of damaged or malicious files."""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from avssl_tf.errors import UserError

# Maximum size of a compressed array, which may be a thousand times larger in memory than in the
# file. An uncompressed array is at most as large as the file.
MAX_COMPRESSED_BYTES = 1 << 28
_NOT_AN_NPZ = (
  ValueError, KeyError, EOFError, OSError, RuntimeError, SyntaxError, zipfile.BadZipFile,
  MemoryError, NotImplementedError, RecursionError, TypeError, OverflowError,
)  # fmt: skip


class ArraysError(UserError):
  """A file is not the expected NPZ file; the message states the path and the reason."""


class Arrays:
  """The arrays of an NPZ file by name, each read on access."""

  def __init__(self, path: str, archive: zipfile.ZipFile):
    self._path = path
    self._archive = archive
    self.names = [name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")]

  def __contains__(self, name: str) -> bool:
    return name in self.names

  def __getitem__(self, name: str) -> np.ndarray:
    """Reads an array.

    Raises:
      ArraysError: the array is missing or damaged, contains Python objects, or claims a size that
        the file cannot contain.
    """
    with _errors_named(self._path, f"array {name!r}"):
      entry = self._archive.getinfo(f"{name}.npy")
      with self._archive.open(entry) as file:
        _check_header(file, entry, os.path.getsize(self._path))
      with self._archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)

  def shape_and_dtype(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array, from its header.

    Raises:
      ArraysError: see `__getitem__`.
    """
    with _errors_named(self._path, f"array {name!r}"):
      entry = self._archive.getinfo(f"{name}.npy")
      with self._archive.open(entry) as file:
        shape, _, dtype = _check_header(file, entry, os.path.getsize(self._path))
    return shape, dtype

  def blocks(self, names: Sequence[str], num_rows: int) -> Iterator[dict[str, np.ndarray]]:
    """Reads arrays in blocks of rows: the memory does not depend on the size of the file.

    Args:
      names: names of arrays of one or more dimensions and the same length.
      num_rows: rows per block.

    Yields:
      The rows of each array, by name; the last block may be shorter.

    Raises:
      ArraysError: see `__getitem__`; or an array is a single value, is in Fortran order, or has
        another length than the others.
    """
    with contextlib.ExitStack() as stack:
      files, kinds = {}, {}
      for name in names:
        with _errors_named(self._path, f"array {name!r}"):
          entry = self._archive.getinfo(f"{name}.npy")
          files[name] = stack.enter_context(self._archive.open(entry))
          shape, in_columns, dtype = _check_header(
            files[name], entry, os.path.getsize(self._path)
          )
          if not shape or in_columns and len(shape) > 1:
            raise UserError(f"its shape is {shape}; expected rows, in C order")
          kinds[name] = shape, dtype
      lengths = {shape[0] for shape, _ in kinds.values()}
      if len(lengths) != 1:
        raise ArraysError(f"{self._path}: the lengths of {', '.join(names)} differ: {lengths}.")
      (length,) = lengths
      for start in range(0, length, num_rows):
        count = min(num_rows, length - start)
        yield {name: self._rows(name, files[name], count, *kinds[name]) for name in names}

  def _rows(self, name: str, file, count: int, shape: tuple, dtype: np.dtype) -> np.ndarray:
    """The next rows of an open array."""
    num_bytes = count * math.prod(shape[1:]) * dtype.itemsize
    with _errors_named(self._path, f"array {name!r}"):
      content = file.read(num_bytes)
      if len(content) < num_bytes:
        raise EOFError("it ends early")
      return np.frombuffer(content, dtype).reshape(count, *shape[1:])


def save(path: str, content: Mapping[str, np.ndarray]) -> None:
  """Writes an NPZ file; unlike `np.savez`, it closes the file if the disk is full.

  Raises:
    OSError: the file cannot be written.
  """
  with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
    for name, value in content.items():
      with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.asanyarray(value), allow_pickle=False)


@contextlib.contextmanager
def open_npz(path: str) -> Iterator[Arrays]:
  """Opens an NPZ file.

  Raises:
    ArraysError: the file is not an NPZ file.
    FileNotFoundError, PermissionError: the file cannot be opened.
  """
  with contextlib.ExitStack() as stack:
    file = stack.enter_context(open(path, "rb"))
    with _errors_named(path, "archive"):
      archive = stack.enter_context(zipfile.ZipFile(file))
    yield Arrays(path, archive)


def _check_header(
  file, entry: zipfile.ZipInfo, size_of_file: int
) -> tuple[tuple[int, ...], bool, np.dtype]:
  """Compares the header of an array with the size of the file, before memory is allocated.

  Returns:
    The shape, whether the array is in Fortran order, and the dtype.
  """
  version = np.lib.format.read_magic(file)
  if version == (1, 0):
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
  else:
    shape, in_columns, dtype = np.lib.format.read_array_header_2_0(file)
  if dtype.hasobject:
    raise UserError("it contains Python objects")
  # Elements without size count as one byte.
  claimed = math.prod(shape) * max(dtype.itemsize, 1)
  is_stored = entry.compress_type == zipfile.ZIP_STORED
  most = size_of_file if is_stored else MAX_COMPRESSED_BYTES
  if claimed > min(most, entry.file_size):
    raise UserError(f"its shape {shape} requires {claimed} bytes; expected at most {most}")
  return shape, in_columns, dtype


@contextlib.contextmanager
def _errors_named(path: str, what: str) -> Iterator[None]:
  try:
    yield
  except _NOT_AN_NPZ as error:
    raise ArraysError(f"{path} is damaged or not an NPZ file: {what}: {error}.") from error

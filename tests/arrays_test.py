"""Tests of reading damaged or malicious NPZ files."""

import io
import os
import tempfile
import unittest
import zipfile

import numpy as np

from avssl_tf import arrays


def header(shape, dtype="'<f4'"):
  """The start of an NPY file that claims a shape."""
  text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"
  text = text.ljust(117) + "\n"
  return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


class ArraysTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.path = os.path.join(folder.name, "a.npz")

  def write(self, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(self.path, "w", compression) as archive:
      archive.writestr("x.npy", content)

  def read(self):
    with arrays.open_npz(self.path) as content:
      return content["x"]

  def test_what_numpy_writes(self):
    for save in (np.savez, np.savez_compressed):
      for value in (np.arange(6.0).reshape(2, 3), np.array("text"), np.zeros([0, 3]), [["", "a"]]):
        save(self.path, x=value)
        np.testing.assert_array_equal(self.read(), value)
    with arrays.open_npz(self.path) as content:
      self.assertEqual((content.names, "x" in content, "y" in content), (["x"], True, False))

  def test_a_shape_that_no_file_can_hold(self):
    for shape, dtype in (
      ("(10000000000000,)", "'<f4'"), ("(10000000000000, 0, 9)", "'<f4'"),
      ("(10000000000000,)", "'<U0'"), ("(10000000000000,)", "'|V0'"), ("(3,)", "'<U999999999'"),
      ("(-5,)", "'<f4'"),
    ):  # fmt: skip
      for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with self.subTest(f"{shape} {dtype}"):
          self.write(header(shape, dtype) + bytes(64), compression)
          try:
            self.assertEqual(self.read().nbytes, 0)
          except arrays.ArraysError as error:
            self.assertIn(self.path, str(error))

  def test_a_small_file_that_unpacks_to_a_large_array(self):
    limit, arrays.MAX_COMPRESSED_BYTES = arrays.MAX_COMPRESSED_BYTES, 1 << 20
    self.addCleanup(setattr, arrays, "MAX_COMPRESSED_BYTES", limit)
    np.savez_compressed(self.path, x=np.zeros([1 << 20], np.float32))
    self.assertLess(os.path.getsize(self.path), 1 << 16)
    with self.assertRaisesRegex(arrays.ArraysError, "4194304 bytes; expected at most 1048576"):
      self.read()
    np.savez(self.path, x=np.zeros([1 << 20], np.float32))
    self.assertEqual(self.read().shape, (1 << 20,))

  def test_objects_are_not_unpickled(self):
    np.savez(self.path, x=np.array([{"a": 1}], object))
    with self.assertRaisesRegex(arrays.ArraysError, "Python objects"):
      self.read()

  def test_damage(self):
    buffer = io.BytesIO()
    np.savez(buffer, x=np.arange(100.0))
    whole = buffer.getvalue()
    for content in (b"", b"text", whole[:-40], bytes(len(whole)), whole[:80] + whole[81:]):
      with open(self.path, "wb") as f:
        f.write(content)
      with self.assertRaisesRegex(arrays.ArraysError, self.path):
        self.read()
    with self.assertRaises(FileNotFoundError), arrays.open_npz(f"{self.path}.none"):
      pass
    self.write(header("(2,)") + bytes(8))
    with self.assertRaisesRegex(arrays.ArraysError, "array 'y'"):
      with arrays.open_npz(self.path) as content:
        content["y"]  # noqa: B018


if __name__ == "__main__":
  unittest.main()

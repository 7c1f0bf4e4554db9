"""Tests of reading a CSV manifest."""

import os
import tempfile

from absl.testing import absltest, parameterized

from avssl_tf.data.sources import manifest
from avssl_tf.data.sources.listings import clip_request
from avssl_tf.data.sources.listings.listing import ListError, Listing


class ManifestTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = temporary.name
    for name in ("a.mp4", "b, c.mp4", os.path.join("videos", "d.mp4")):
      path = os.path.join(self.folder, name)
      os.makedirs(os.path.dirname(path), exist_ok=True)
      with open(path, "wb"):
        pass

  def write(self, content, encoding="utf-8") -> str:
    path = os.path.join(self.folder, "clips.csv")
    with open(path, "wb") as f:
      f.write(content.encode(encoding))
    return path

  def test_all_columns(self):
    path = self.write(
      "path,start_sec,end_sec,label,split\n"
      "a.mp4,1.5,11.5,dog,train\r\n"
      "\n"
      '"b, c.mp4",,, cat ,Val\n'
      "./videos/d.mp4,3,,,\n"
      "a.mp4,,4,dog,test\n"
    )
    at = lambda *names: os.path.join(self.folder, *names)  # noqa: E731
    request = clip_request.ClipRequest
    self.assertEqual(
      manifest.clips_of_manifest(path),
      Listing(
        [
          request("train", at("a.mp4"), 1.5, 11.5, ("dog",), "a.mp4"),
          request("validation", at("b, c.mp4"), None, None, ("cat",), "b, c.mp4"),
          request("train", at("videos", "d.mp4"), 3.0, None, (), "videos/d.mp4"),
          request("test", at("a.mp4"), None, 4.0, ("dog",), "a.mp4"),
        ],
        ["cat", "dog"],
      ),
    )

  def test_path_alone_with_byte_order_mark(self):
    listing = manifest.clips_of_manifest(self.write("path\na.mp4\n", "utf-8-sig"))
    self.assertEqual([r.media_id for r in listing.requests], ["a.mp4"])
    self.assertEqual(listing.label_names, [])

  def test_order_of_columns_is_free(self):
    listing = manifest.clips_of_manifest(self.write("label, path\ndog,a.mp4\n"))
    self.assertEqual(listing.requests[0].labels, ("dog",))
    self.assertEqual(listing.requests[0].media_id, "a.mp4")
    self.assertEqual(listing.label_names, ["dog"])

  def test_input_dir(self):
    path = self.write("path\nd.mp4\n")
    input_dir = os.path.join(self.folder, "videos")
    listing = manifest.clips_of_manifest(path, input_dir)
    self.assertEqual(listing.requests[0].path, os.path.join(input_dir, "d.mp4"))

  def test_absolute_path(self):
    absolute = os.path.join(self.folder, "a.mp4")
    listing = manifest.clips_of_manifest(self.write(f"path\n{absolute}\n"))
    self.assertEqual(listing.requests[0].path, absolute)

  def test_files_that_are_gone(self):
    listing = manifest.clips_of_manifest(self.write("path\na.mp4\ngone.mp4\n"))
    self.assertLen(listing.requests, 2)
    with self.assertRaisesRegex(ListError, "none of its files exists.*gone.mp4"):
      manifest.clips_of_manifest(self.write("path\ngone.mp4\n"))

  @parameterized.parameters(
    ("", "is empty"),
    ("file,label\na.mp4,dog\n", "row 1: no column 'path'"),
    ("path,start\na.mp4,1\n", r"row 1: unknown columns \['start'\]"),
    ("path,path\na.mp4,a.mp4\n", "row 1: a column is named twice"),
    ("path\n", "lists no clips"),
    ("path,label\na.mp4,dog\na.mp4\n", "row 3: 1 fields; expected 2"),
    ("path,label\na.mp4,dog\n\nb, c.mp4,dog\n", "row 4: 3 fields.*must be quoted"),
    ("path,label\n,dog\n", "row 2: no path"),
    ("path,start_sec\na.mp4,1:30\n", "row 2: start_sec is '1:30'; expected a number"),
    ("path,end_sec\na.mp4,inf\n", "row 2: end_sec is 'inf'"),
    ("path,start_sec\na.mp4,-1\n", "row 2: start_sec is '-1'; expected .* 0 or more"),
    ("path,start_sec,end_sec\na.mp4,3,3\n", "row 2: end_sec 3 is not after start_sec 3"),
    ("path,split\na.mp4,dev\n", "row 2: unknown split 'dev'; expected train"),
    ("path,label\na.mp4,dog\n\n./a.mp4,cat\n", "row 4: duplicate of row 2"),
    ("path,start_sec\na.mp4,0\na.mp4,2\na.mp4,0.0\n", "row 4: duplicate of row 2"),
    ('path\na.mp4\n"a.mp4\n', "row 3: unexpected end of data"),
  )
  def test_errors_name_the_row(self, content, problem):
    path = self.write(content)
    with self.assertRaisesRegex(ListError, problem) as caught:
      manifest.clips_of_manifest(path)
    self.assertIn(path, str(caught.exception))

  def test_not_text(self):
    with self.assertRaisesRegex(ListError, "is not UTF-8 text"):
      manifest.clips_of_manifest(self.write("path\né.mp4\n", "latin-1"))

  def test_no_manifest(self):
    with self.assertRaisesRegex(FileNotFoundError, "No manifest"):
      manifest.clips_of_manifest(os.path.join(self.folder, "none.csv"))
    with self.assertRaisesRegex(FileNotFoundError, "not a folder"):
      manifest.clips_of_manifest(self.write("path\na.mp4\n"), "/no/such/folder")


if __name__ == "__main__":
  absltest.main()

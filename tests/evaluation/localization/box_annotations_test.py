"""Tests of annotations in the formats of Flickr-SoundNet and VGG-SS."""

import json
import os
import shutil
import tempfile

import numpy as np
from absl.testing import absltest

from avssl_tf.evaluation.localization import box_annotations
from avssl_tf.evaluation.localization.box_annotations import BoxTruth

_XML = """<annotation>
  <file>{name}.jpg</file>
  {annotators}
</annotation>
"""
_ANNOTATOR = """<annotator>
    <num>{number}</num>
    <bbox><object>1</object><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bbox>
  </annotator>"""


class BoxAnnotationsTest(absltest.TestCase):
  def write(self, name, text):
    path = os.path.join(self.folder, name)
    with open(path, "w", encoding="utf-8") as f:
      f.write(text)
    return path

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)

  def write_xml(self, name, *boxes):
    annotators = [_ANNOTATOR.format(*box, number=n) for n, box in enumerate(boxes)]
    return self.write(f"{name}.xml", _XML.format(name=name, annotators="\n  ".join(annotators)))

  def test_flickr_soundnet_is_a_consensus(self):
    # Three annotators of images of 256 x 256.
    self.write_xml("2321863", (0, 0, 128, 64), (64, 0, 128, 64), (0, 192, 256, 256))
    self.write_xml("17", (64, 64, 128, 128))
    self.write("list.txt", "17\n")
    found = box_annotations.read(self.folder, "flickr_soundnet")
    self.assertEqual(set(found), {"2321863", "17"})
    expected = np.zeros([8, 8])
    expected[:2, :2] = 0.5  # One alone.
    expected[:2, 2:4] = 1.0  # Two agree.
    expected[6:] = 0.5
    np.testing.assert_array_equal(found["2321863"].map(8, 8), expected)
    self.assertEqual(found["17"].map(4, 4).sum(), 0.5)

  def test_vggss_is_a_union(self):
    entries = [
      {"file": "-0jbRf0bwJU_000045", "class": "dog barking",
       "bbox": [[-0.1, 0.0, 0.5, 0.25], [0.25, 0.0, 0.75, 0.5]]},
      {"file": "b_000001", "class": "cat", "bbox": []},
    ]  # fmt: skip
    path = self.write("vggss.json", json.dumps(entries))
    found = box_annotations.read(path, "vggss")
    # xmin, ymin, xmax, ymax in the file, clipped to the image.
    np.testing.assert_allclose(found["-0jbRf0bwJU_000045"].boxes[0], [0.0, 0.0, 0.25, 0.5])
    expected = np.zeros([4, 4])
    expected[0, :3] = expected[1, 1:3] = 1.0
    np.testing.assert_array_equal(found["-0jbRf0bwJU_000045"].map(4, 4), expected)
    self.assertEqual(found["b_000001"].map(4, 4).max(), 0.0)

  def test_boxes_outside_of_the_picture_are_reported(self):
    entries = [
      {"file": "a_000001", "class": "cat", "bbox": [[1.0, 0.1, 1.2, 0.5], [0.2, 0.2, 0.4, 0.4]]},
      {"file": "b_000002", "class": "cat", "bbox": [[0.1, -0.3, 0.5, 0.0], [0.5, 0.5, 0.5, 0.9]]},
      {"file": "c_000003", "class": "cat", "bbox": []},
    ]
    path = self.write("vggss.json", json.dumps(entries))
    with self.assertLogs(level="WARNING") as logs:
      found = box_annotations.read(path, "vggss")
    self.assertLen(found["a_000001"].boxes, 1)
    self.assertEqual([found[e["file"]].is_known for e in entries], [True, False, True])
    self.assertRegex(
      "\n".join(logs.output),
      "vggss.json: 3 boxes .*inside the image"
      ".* 1 files have no other boxes .*not evaluated: 'b_000002'",
    )
    self.write_xml("17", (0, 0, 64, 64), (300, 300, 400, 400))
    with self.assertLogs(level="WARNING") as logs:
      self.assertLen(box_annotations.read(self.folder, "flickr_soundnet")["17"].boxes, 1)
    self.assertNotIn("no other boxes", logs.output[0])

  def test_entries_of_one_file_are_joined(self):
    box, other = [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]
    entries = [
      {"file": name, "class": "cat", "bbox": boxes}
      for name, boxes in (("a_000001", [box]), ("a_000001.mp4", [other, box]), ("b", [box]))
    ]
    path = self.write("vggss.json", json.dumps(entries))
    with self.assertLogs(level="WARNING") as logs:
      found = box_annotations.read(path, "vggss")
    self.assertRegex(logs.output[0], "1 entries repeat a file: .* boxes .* are combined")
    counts = {name: len(truth.boxes) for name, truth in found.items()}
    self.assertEqual(counts, {"a_000001": 2, "b": 1})

  def test_two_files_of_one_image_are_rejected(self):
    self.write_xml("17", (0, 0, 64, 64))
    self.write_xml("17.jpg", (0, 0, 64, 64))
    with self.assertRaisesRegex(ValueError, "17.xml and .*17.jpg.xml annotate the same .*Keep one"):
      box_annotations.read(self.folder, "flickr_soundnet")

  def test_marks_line_ends_and_spellings(self):
    entries = [{"file": "cafe\u0301_000001.mp4", "class": "cat", "bbox": [[0, 0, 1, 1]]}]
    path = os.path.join(self.folder, "vggss.json")
    text = json.dumps(entries, ensure_ascii=False, indent=1).replace("\n", "\r\n")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
      with open(path, "wb") as f:
        f.write(text.encode(encoding))
      self.assertEqual(list(box_annotations.read(path, "vggss")), ["caf\u00e9_000001"])
      with open(path, "wb") as f:
        f.write("caf\u00e9_000001.jpg,cat\r\n17\r\n".encode(encoding))
      self.assertEqual(box_annotations.read_names(path), ["caf\u00e9_000001", "17"])

  def test_frames_as_annotators(self):
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1.0]], np.float32)
    np.testing.assert_array_equal(BoxTruth(boxes, 2.0).map(2, 2), [[0.5, 0.5], [0.0, 0.0]])

  def test_edges_go_between_the_nearest_pixels(self):
    truth = BoxTruth(np.array([[0.0, 0.24, 1.0, 0.76]], np.float32))
    np.testing.assert_array_equal(truth.map(1, 4), [[0, 1, 1, 0]])
    np.testing.assert_array_equal(truth.map(1, 50).nonzero()[1], np.arange(12, 38))

  def test_names(self):
    for example_id, name in {
      "test/dog/a_000045.mp4@0.000": "a_000045",
      "a_000045@12.500": "a_000045",
      "x@home.mp4": "x@home",
      "2321863": "2321863",
      "planar/test/00003": "00003",
    }.items():
      self.assertEqual(box_annotations.name_of(example_id), name)
    path = self.write("test.csv", "2321863.jpg,dog\n\n17,cat\n")
    self.assertEqual(box_annotations.read_names(path), ["2321863", "17"])

  def test_what_is_no_annotation(self):
    empty = os.path.join(self.folder, "empty")
    os.mkdir(empty)
    cases = {
      "expected one of flickr_soundnet, vggss": (self.folder, "coco"),
      "is not a folder": (os.path.join(self.folder, "nowhere"), "flickr_soundnet"),
      "contains no XML files": (empty, "flickr_soundnet"),
      r"KeyError\('bbox'\) after 0 entries": (self.write("a.json", '[{"file": 1}]'), "vggss"),
      "a box has 3 sides": (self.write("b.json", '[{"file": "a", "bbox": [[0, 0, 1]]}]'), "vggss"),
      "is not JSON": (self.write("c.json", "file,bbox"), "vggss"),
      "contains no annotations": (self.write("d.json", "[]"), "vggss"),
    }
    for message, arguments in cases.items():
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        box_annotations.read(*arguments)
    for text, message in (
      ("<annotation><bbox>", "broken.xml is not an annotation"),
      ("<annotation><bbox><xmin>1</xmin></bbox></annotation>", "a bbox has no ymin"),
    ):
      self.write("broken.xml", text)
      with self.assertRaisesRegex(ValueError, message):
        box_annotations.read(self.folder, "flickr_soundnet")


if __name__ == "__main__":
  absltest.main()

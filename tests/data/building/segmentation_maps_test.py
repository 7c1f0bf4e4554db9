"""Tests of reading the segmentation maps of YT-360."""

import os

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.data.building import segmentation_maps
from avssl_tf.data.media.clip_reading import MediaError
from tests import test_base

_PERSON, _CAR, _SKY, _UNKNOWN = 0, 1, 16, segmentation_maps.UNKNOWN_CLASS


def write_map(folder, kind, number, classes):
  """Writes a map in the format of the authors: the class is the red channel."""
  os.makedirs(folder, exist_ok=True)
  picture = np.zeros([*np.shape(classes), 3], np.uint8)
  picture[..., 2] = classes
  cv2.imwrite(os.path.join(folder, f"{kind}-{number:04d}.png"), picture)


class SegmentationMapsTest(test_base.TestCase):

  def folder(self):
    return os.path.join(self.get_temp_dir(), self.id())

  def test_things_come_before_stuff_and_other_classes_are_unknown(self):
    # A person, a bicycle (not evaluated), no thing, no thing.
    write_map(self.folder(), "things", 0, [[0, 1, 80, 80]] * 2)
    # Sky is the class 120, and none the class 134 of both together.
    write_map(self.folder(), "stuff", 0, [[40, 40, 40, 54]] * 2)
    found = segmentation_maps.read(self.folder(), np.zeros(1), 2)
    self.assertDTypeEqual(found, np.uint8)
    self.assertAllEqual(found, [[[_PERSON, _UNKNOWN, _SKY, _UNKNOWN]] * 2])
    self.assertLen(segmentation_maps.CLASSES, 32)
    self.assertEqual(list(segmentation_maps.CLASSES.values())[_SKY], "sky")

  def test_the_nearest_map_of_each_time(self):
    for number, thing in ((0, 0), (1, 2), (4, 80)):
      write_map(self.folder(), "things", number, np.full([2, 4], thing))
      write_map(self.folder(), "stuff", number, np.full([2, 4], 40))
    write_map(self.folder(), "things", 2, np.full([2, 4], 2))  # Has no stuff map: not used.
    found = segmentation_maps.read(self.folder(), np.array([0.0, 0.1, 0.2, 0.5, 0.9, 9.0]), 4)
    self.assert_shape(found, [6, 4, 8])
    self.assertAllEqual(found[:, 1, 3], [_PERSON, _PERSON, _CAR, _CAR, _SKY, _SKY])

  def test_nothing_is_known_without_a_folder(self):
    found = segmentation_maps.read(self.folder(), np.zeros(3), 2)
    self.assertAllEqual(found, np.full([3, 2, 4], _UNKNOWN))

  def test_maps_that_are_not_what_they_should_be(self):
    def read():
      segmentation_maps.read(self.folder(), np.zeros(1), 2)

    os.makedirs(self.folder())
    with self.assertRaisesRegex(MediaError, "no segmentation maps things-0000.png and stuff-"):
      read()
    write_map(self.folder(), "things", 0, [[81, 0]])
    write_map(self.folder(), "stuff", 0, [[0, 0]])
    with self.assertRaisesRegex(MediaError, r"things-0000.png' has the value 81; expected 0..80"):
      read()
    write_map(self.folder(), "things", 0, [[0, 0]] * 2)
    with self.assertRaisesRegex(MediaError, r"have different shapes: \(2, 2\) .* and \(1, 2\)"):
      read()
    with open(os.path.join(self.folder(), "stuff-0000.png"), "wb") as file:
      file.write(b"no picture")
    with self.assertRaisesRegex(MediaError, "stuff-0000.png' cannot be decoded as a PNG"):
      read()


if __name__ == "__main__":
  tf.test.main()

"""Tests that boxes of sound sources match the frames for any crop and scale."""

import dataclasses
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data import clip_content
from avssl_tf.data.pipeline import datasets, frame_ops
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from tests import test_base
from tests.data import toy_records

_HEIGHT, _WIDTH = 64, 96
_COUNT = toy_records.NUM_STORED_FRAMES


def _moving_box(seed):
  """Frames of a white rectangle that moves over black, and its box in each frame."""
  rng = np.random.default_rng(seed)
  frames = np.zeros([_COUNT, _HEIGHT, _WIDTH, 3], np.uint8)
  boxes = []
  height, width = rng.integers(16, 28, 2)
  y, x = rng.integers(0, _HEIGHT - height), rng.integers(0, _WIDTH - width - _COUNT)
  for frame in frames:
    x += 1
    frame[y : y + height, x : x + width] = 255
    boxes.append([y / _HEIGHT, x / _WIDTH, (y + height) / _HEIGHT, (x + width) / _WIDTH])
  return frames, np.array(boxes, np.float32)


def _record(index, boxes=True):
  frames, found = _moving_box(index)
  content = clip_content.Content(
    frames=frames,
    timestamps_us=np.arange(_COUNT) * 100_000,
    waveform=np.zeros([2000, 2], np.float32),
    boxes=found if boxes else None,
  )
  return toy_records.encode(index, content)


def _middles(frames):
  """White share of each frame, and the centre of the white area, relative to the sides."""
  white = frames[..., 0] / 255.0
  mass = white.sum(axis=(-2, -1))
  y, x = ((np.arange(size) + 0.5) / size for size in white.shape[-2:])
  middle = [np.einsum("bthw,h->bt", white, y) / mass, np.einsum("bthw,w->bt", white, x) / mass]
  return white.mean(axis=(-2, -1)), np.stack(middle, axis=-1)


class BoxesTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data_dir = folder.name
    toy_records.write(cls.data_dir, [[_record(index) for index in range(6)]])

  def test_boxes_are_where_frames_show_what_sounds(self):
    for whole_picture in (False, True):
      clip = dataclasses.replace(
        toy_records.CLIP, frame_size=48, boxes=True, whole_picture=whole_picture
      )
      data = toy_records.take(
        datasets.evaluation_dataset(self.data_dir, "train", clip, 3, windows_per_clip=2), 4
      )
      self.assert_shape(data[keys.BOXES], (12, 4, 4), np.float32)
      boxes = data[keys.BOXES].astype(np.float64)
      sides = boxes[..., 2:] - boxes[..., :2]
      area, middle = _middles(data[keys.VIDEO])
      # Within a quarter of a pixel, although JPEG blurs.
      self.assertAllClose(area, sides.prod(axis=-1), atol=0.01)
      seen = sides.prod(axis=-1) > 0.02
      self.assertGreater(seen.mean(), 0.5)
      self.assertAllClose(middle[seen], (boxes[..., :2] + sides / 2)[seen], atol=0.25 / 48)

  def test_whole_pictures_keep_the_shares_that_are_stored(self):
    clip = dataclasses.replace(toy_records.CLIP, boxes=True, whole_picture=True)
    data = toy_records.take(datasets.evaluation_dataset(self.data_dir, "train", clip, 6), 1)
    stored = np.stack([_moving_box(index)[1] for index in range(6)])
    # The middle of two seconds: frames 8 to 11.
    self.assertAllClose(data[keys.BOXES], stored[:, 8:12], atol=1e-6)

  def test_of_a_box_outside_of_the_part_nothing_is_left(self):
    boxes = tf.constant([[0.0, 0.0, 0.1, 1.0], [0.0, 0.25, 1.0, 0.5]])
    found = frame_ops.boxes_in_crop(boxes, tf.constant([20, 10, 40, 20]), 80, 40)
    self.assertAllClose(found, [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.5]])

  def test_records_without_boxes(self):
    with tempfile.TemporaryDirectory() as folder:
      toy_records.write(folder, [[_record(0, boxes=False)]])
      dataset = datasets.evaluation_dataset(folder, "train", toy_records.CLIP, 1)
      self.assertNotIn(keys.BOXES, next(iter(dataset)))
      clip = dataclasses.replace(toy_records.CLIP, boxes=True)
      (found,) = next(iter(datasets.evaluation_dataset(folder, "train", clip, 1)))[keys.BOXES]
      self.assertLen(found, toy_records.CLIP.num_frames)
      sizes = found[:, 2:] - found[:, :2]
      self.assertAllEqual(sizes[:, 0] * sizes[:, 1], [0.0] * len(found))

  def test_boxes_are_of_ordinary_clips(self):
    for name in ("boxes", "whole_picture"):
      for spherical in (dict(panorama=True), dict(viewpoints=ViewpointSpec())):
        with self.assertRaisesRegex(ValueError, f"ClipSpec.{name} requires ordinary clips"):
          ClipSpec(**{name: True}, **spherical)


if __name__ == "__main__":
  tf.test.main()

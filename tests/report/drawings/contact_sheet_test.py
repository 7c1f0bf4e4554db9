"""Tests of the contact sheet."""

import dataclasses
import os
import tempfile

import cv2
import numpy as np
from absl.testing import absltest

from avssl_tf.data.records.record import Record
from avssl_tf.report.drawings import contact_sheet


def _clip(boxes=None, height=30, width=40, channels=1, name="a/long/name.mp4@0.000"):
  frames = np.zeros((6, height, width, 3), np.uint8)
  frames[:3] = (255, 0, 0)  # BGR: the first half is blue.
  return Record(
    frames=[
      cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes() for frame in frames
    ],
    timestamps_us=np.arange(6) * 100_000,
    height=height,
    width=width,
    frame_rate_hz=10.0,
    waveform=np.sin(np.arange(4800 * channels) * 0.5).astype(np.float32).reshape(-1, channels),
    sample_rate_hz=8000.0,
    num_samples=4800,
    labels=["class"],
    label_indexes=[0],
    example_id=name,
    index=0,
    boxes=boxes,
  )


class ContactSheetTest(absltest.TestCase):
  def test_a_strip_holds_as_many_frames_as_fit_in_order_and_colour(self):
    strip = contact_sheet.filmstrip(_clip())
    self.assertEqual(strip.shape, (96, 4 * 130, 3))
    np.testing.assert_allclose(strip[50, 60], [0, 0, 255], atol=4)
    np.testing.assert_allclose(strip[50, -60], [0, 0, 0], atol=4)
    self.assertEqual(contact_sheet.filmstrip(_clip(width=300)).shape[1], 962)
    self.assertEqual(contact_sheet.filmstrip(_clip(height=300)).shape[1], 6 * 15)

  def test_boxes_are_drawn_where_they_are(self):
    boxes = np.tile(np.float32([0.25, 0.5, 0.75, 0.9]), (6, 1))
    strip = contact_sheet.filmstrip(_clip(boxes))
    yellow = np.all(strip == (255, 255, 0), axis=2)[:, :130]
    rows, columns = np.nonzero(yellow)
    self.assertEqual((rows.min(), rows.max()), (24, 72))
    self.assertEqual((columns.min(), columns.max()), (65, 116))

  def test_names_are_no_formulas(self):
    figure = contact_sheet.draw([_clip(name="cost$_{in$.mp4")], "mine$_{$")
    with tempfile.TemporaryDirectory() as folder:
      figure.savefig(os.path.join(folder, "sheet.png"))

  def test_clips_of_one_modality(self):
    silent = dataclasses.replace(_clip(), waveform=None, sample_rate_hz=0.0, num_samples=0)
    unseen = dataclasses.replace(_clip(), frames=[], height=0, width=0, frame_rate_hz=0.0)
    for clip in (silent, unseen):
      figure = contact_sheet.draw([clip, clip], "title")
      self.assertLen(figure.axes, 2)
      with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sheet.png")
        figure.savefig(path)
        self.assertGreater(cv2.imread(path).std(), 20)

  def test_the_sheet_is_saved(self):
    for count in (1, 4):
      figure = contact_sheet.draw([_clip(channels=1 + i % 2) for i in range(count)], "title")
      with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sheet.png")
        figure.savefig(path)
        picture = cv2.imread(path)
      self.assertGreater(picture.std(), 20)
      self.assertLen(figure.subfigs, 3 * 2 if count == 4 else 1)


if __name__ == "__main__":
  absltest.main()

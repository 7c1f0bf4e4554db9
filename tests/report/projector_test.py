"""Tests of the files for TensorBoard's projector, read by the projector itself."""

import os
import shutil
import tempfile
from unittest import mock

import cv2
import numpy as np
import tensorflow as tf
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug import test as werkzeug_test
from werkzeug import wrappers

from avssl_tf.report import projector
from avssl_tf.report.clip_embeddings import ClipEmbeddings
from tests import test_base

_IDS = ["a/one.mp4@0.000", "a/two\t2.mp4@0.000", "ü.mp4@1.500"]


def _clips(rng, label_names=("bell", "drum"), modalities=("video", "audio"), ids=_IDS):
  return ClipEmbeddings(
    ids=ids,
    indices=np.arange(len(ids)),
    labels=np.array([1, -1, 0] if label_names else [-1] * len(ids)),
    label_names=label_names,
    embeddings={m: rng.normal(size=(len(ids), 4)).astype(np.float32) for m in modalities},
    thumbnails={
      # Each of one colour: the files are JPEG.
      m: np.tile(rng.integers(0, 256, (len(ids), 1, 1, 3)), (1, 16, 16, 1)).astype(np.uint8)
      for m in modalities
    },
  )


class _Projector:
  """TensorBoard's projector on the folder of runs."""

  def __init__(self, logdir, run):
    provider = mock.Mock()
    provider.list_runs.return_value = [mock.Mock(run_name=run)]
    self._run = run
    self._plugin = projector_plugin.ProjectorPlugin(
      base_plugin.TBContext(logdir=logdir, data_provider=provider)
    )

  def get(self, route, **arguments):
    client = werkzeug_test.Client(self._plugin.get_plugin_apps()[route], wrappers.Response)
    return client.get(route, query_string={"run": self._run, **arguments})


class WriteTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)
    self.tensorboard_dir = os.path.join(self.folder, "run", "tensorboard")

  def projector(self):
    return _Projector(self.folder, os.path.join("run", "tensorboard"))

  def lines(self, shown, name):
    return shown.get("/metadata", name=name).get_data(as_text=True).splitlines()

  def test_the_projector_shows_it(self):
    clips = _clips(self.rng)
    projector.write(self.tensorboard_dir, clips)
    shown = self.projector()
    info = shown.get("/info").get_json()["embeddings"]
    self.assertEqual(
      {cloud["tensorName"]: cloud["tensorShape"] for cloud in info},
      {"video_audio": [6, 4], "audio": [3, 4], "video": [3, 4]},
    )
    both = np.concatenate([clips.embeddings["video"], clips.embeddings["audio"]])
    pictures = np.concatenate([clips.thumbnails["video"], clips.thumbnails["audio"]])
    for name, rows, thumbnails in (
      ("video_audio", both, pictures),
      ("video", both[:3], pictures[:3]),
      ("audio", both[3:], pictures[3:]),
    ):
      with self.subTest(name):
        data = shown.get("/tensor", name=name).data
        self.assertAllClose(np.frombuffer(data, np.float32).reshape(-1, 4), rows, atol=1e-5)
        sprite = cv2.imdecode(
          np.frombuffer(shown.get("/sprite_image", name=name).data, np.uint8), cv2.IMREAD_COLOR
        )[..., ::-1]
        # Divided like in the page, by the size in the configuration.
        (size, _) = next(c for c in info if c["tensorName"] == name)["sprite"]["singleImageDim"]
        across = sprite.shape[1] // size
        for number, thumbnail in enumerate(thumbnails):
          row, column = divmod(number, across)
          part = sprite[row * size : (row + 1) * size, column * size : (column + 1) * size]
          # Except at the edges, where JPEG slightly mixes adjacent colours.
          self.assertAllClose(part[1:-1, 1:-1], thumbnail[1:-1, 1:-1].astype(float), atol=4)
    self.assertEqual(
      self.lines(shown, "video_audio"),
      ["id\tlabel\tmodality"]
      + [
        f"{name}\t{label}\t{modality}"
        for modality in ("video", "audio")
        for name, label in (
          ("a/one.mp4@0.000", "drum"),
          ("a/two 2.mp4@0.000", "unknown"),
          ("ü.mp4@1.500", "bell"),
        )
      ],
    )

  def test_without_labels_and_of_one_modality(self):
    projector.write(self.tensorboard_dir, _clips(self.rng, (), ("audio",)))
    shown = self.projector()
    self.assertEqual(
      [cloud["tensorName"] for cloud in shown.get("/info").get_json()["embeddings"]], ["audio"]
    )
    self.assertEqual(
      self.lines(shown, "audio"),
      ["id\tmodality", "a/one.mp4@0.000\taudio", "a/two 2.mp4@0.000\taudio", "ü.mp4@1.500\taudio"],
    )

  def test_written_anew(self):
    projector.write(self.tensorboard_dir, _clips(self.rng))
    before = sorted(os.listdir(os.path.join(self.tensorboard_dir, projector.FOLDER)))
    projector.write(self.tensorboard_dir, _clips(self.rng, ids=_IDS[::-1]))
    after = sorted(os.listdir(os.path.join(self.tensorboard_dir, projector.FOLDER)))
    self.assertEqual(before, after)
    self.assertStartsWith(self.lines(self.projector(), "video")[1], "ü.mp4")
    self.assertEqual(sorted(os.listdir(self.tensorboard_dir)), ["projector", projector.CONFIG])

  def test_one_that_is_broken_off_is_not_shown(self):
    with mock.patch.object(np, "savetxt", side_effect=OSError("disk full")):
      with self.assertRaisesRegex(OSError, "disk full"):
        projector.write(self.tensorboard_dir, _clips(self.rng))
    self.assertEqual(os.listdir(self.tensorboard_dir), ["projector"])
    self.assertEqual(os.listdir(os.path.join(self.tensorboard_dir, "projector")), [])

  def test_too_many_are_refused_before_anything_is_written(self):
    clips = _clips(self.rng)
    with mock.patch.object(projector, "MAX_SPRITE_SIZE", 32):  # 2 x 2 thumbnails, but there are 6.
      with self.assertRaisesRegex(ValueError, "6 thumbnails of 16 x 16 .* for 4 thumbnails"):
        projector.write(self.tensorboard_dir, clips)
    self.assertFalse(os.path.exists(self.tensorboard_dir))


class SpriteTest(test_base.TestCase):

  def test_shape(self):
    for count, columns, rows in ((1, 1, 1), (2, 2, 1), (4, 2, 2), (5, 3, 2), (7, 3, 3)):
      found = projector.sprite(np.zeros([count, 8, 8, 3], np.uint8))
      self.assert_shape(found, [8 * rows, 8 * columns, 3], tf.uint8)
      self.assertEqual((found == 255).sum(), (rows * columns - count) * 8 * 8 * 3)


if __name__ == "__main__":
  tf.test.main()

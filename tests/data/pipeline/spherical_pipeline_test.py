"""Tests of batches of 360° clips: frames, audio and directions of viewpoints."""

import contextlib
import dataclasses
import io
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building import demo
from avssl_tf.data.pipeline import datasets, viewpoints
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.spatial import ambisonics, directions, optical_flow
from avssl_tf.spectrograms import Spectrogram
from tests import test_base

_SPEC = ViewpointSpec(num_viewpoints=3, flip_probability=0.5)
_CLIP = ClipSpec(
  num_frames=8, frame_rate_hz=8.0, frame_size=24, audio_sec=1.2, max_offset_sec=0.1,
  sample_rate_hz=8000, viewpoints=_SPEC,
)  # fmt: skip
_PANORAMA = ClipSpec(
  num_frames=4, frame_rate_hz=8.0, frame_size=64, audio_sec=0.5, max_offset_sec=0.0,
  sample_rate_hz=8000, panorama=True,
)  # fmt: skip
_AS_IT_IS = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, volume=(1.0, 1.0))
_WORLD = SphericalWorld(num_train=6, num_test=2)


def _build(world, flow=False):
  folder = tempfile.mkdtemp()
  spectrogram = Spectrogram(sample_rate_hz=8000, fft_length=512, hop_length=160, num_bins=129)
  with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    demo.DemoData(world, spectrogram, folder, flow).build_if_missing(num_workers=0)
  return folder


class SphericalPipelineTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = _build(_WORLD, flow=True)

  def batches(self, augmentation=None, **settings):
    return datasets.training_dataset(
      self.data_dir, "train", _CLIP, augmentation, 4, seed=3, **settings
    )

  def test_training_batches(self):
    batch = next(iter(self.batches(Augmentation())))
    self.assert_shape(batch[keys.VIDEO], [4, 3, 8, 24, 24, 3], tf.uint8)
    self.assert_shape(batch[keys.AUDIO], [4, 3, 9600, 4], tf.float32)
    self.assert_shape(batch[keys.DIRECTION], [4, 3, 2], tf.float32)
    self.assert_shape(batch[keys.VIEW_LABEL], [4, 3], tf.int64)
    self.assert_shape(batch[keys.FIELD_OF_VIEW], [4, 3, 2], tf.float32)
    self.assertAllInRange(batch[keys.FIELD_OF_VIEW][..., 0], *np.deg2rad([25.4, 90.1]))
    self.assertLess(np.abs(batch[keys.DIRECTION][..., 1]).max(), np.deg2rad(30.1))
    # W does not depend on the direction.
    self.assertAllClose(batch[keys.AUDIO][:, 0, :, 0], batch[keys.AUDIO][:, 2, :, 0])
    self.assertNotAllClose(batch[keys.AUDIO][:, 0, :, 3], batch[keys.AUDIO][:, 2, :, 3])
    self.assertAllInRange(batch[keys.VIEW_LABEL], -1, 15)
    again = list(self.batches(Augmentation(), first_step=1).take(1))[0]
    second = list(self.batches(Augmentation()).take(2))[1]
    for name in batch:
      self.assertAllEqual(second[name], again[name])

  def test_colors_of_a_clip_or_of_each_view(self):
    # The same viewpoint twice: only the colours differ.
    spec = ViewpointSpec(
      num_viewpoints=3, placement="even", azimuth_jitter_deg=0.0, max_elevation_deg=0.0,
      horizontal_fov_deg=(80.0, 80.0), aspect=(1.0, 1.0), flip_probability=0.0,
    )  # fmt: skip
    clip = dataclasses.replace(_CLIP, viewpoints=spec)

    def frames(**changes):
      augmentation = dataclasses.replace(Augmentation(**_AS_IT_IS), **changes)
      dataset = datasets.training_dataset(self.data_dir, "train", clip, augmentation, 4, seed=3)
      return next(iter(dataset))[keys.VIDEO].numpy().astype(np.float64)

    plain = frames()
    ratios = {}
    for own in (False, True):
      # Factors that do not saturate any pixel.
      darker = frames(brightness=0.5, color_each_view=own) / np.maximum(plain, 1)
      ratios[own] = np.array([[np.median(darker[i, k][(plain[i, k] > 50) & (plain[i, k] < 150)])
                               for k in range(3)] for i in range(4)])  # fmt: skip
    self.assertAllLess(np.ptp(ratios[False], axis=1), 0.02)
    self.assertAllGreater(np.ptp(ratios[True], axis=1), 0.02)
    # Viewpoints, windows and audio do not change.
    self.assertAllEqual(frames(color_each_view=True), plain)

  def test_views_are_those_of_the_clip(self):
    """In evaluation, frames, audio and label of a viewpoint match its direction."""
    (batch,) = datasets.evaluation_dataset(self.data_dir, "train", _CLIP, 6)
    centre, found, visible = _CLIP.frame_size // 2, [], 0
    for index in range(6):
      clip = _WORLD.clip("train", index)
      # The audio window of 1.2 s is in the middle of the 1.5 s, like the frame window.
      waveform = clip.waveform[1200:10800]
      azimuth, elevation = tf.unstack(batch[keys.DIRECTION][index], axis=-1)
      for view in range(3):
        middle = directions.rotation(azimuth[view], elevation[view])[:, 0]
        towards_front = (waveform[:, [3, 1, 2]] @ middle.numpy()[:, np.newaxis])[:, 0]
        self.assertAllClose(batch[keys.AUDIO][index, view, :, 3], towards_front, atol=1e-5)
        row = int((0.5 - elevation[view] / np.pi) * 64)
        column = int((0.5 - azimuth[view] / (2 * np.pi)) * 128) % 128
        seen = batch[keys.VIDEO][index, view, 4, centre, centre].numpy().astype(int)
        for frame in (5, 6):
          expected = clip.frames[frame, row, column].astype(int)
          found.append(np.abs(seen - expected).max())
      objects = directions.unit_vectors(clip.tracks.azimuth_rad[6], clip.tracks.elevation_rad[6])
      views = directions.unit_vectors(azimuth, elevation)
      angles = np.rad2deg(directions.angle_between(views[:, tf.newaxis], objects))
      for view, label in enumerate(batch[keys.VIEW_LABEL][index].numpy()):
        if label >= 0:
          visible += 1
          nearest = angles[view].min() + 12.0  # Frames 5 and 6 differ; the label's is one of them.
          near = set(clip.tracks.labels[angles[view] < nearest].tolist())
          self.assertIn(label, near)
        else:
          self.assertGreater(angles[view].min(), 8.0)  # Inside of any field of view.
    self.assertGreater(visible, 4)
    self.assertLess(np.median(found), 30)  # Pixel noise and JPEG.

  def test_evaluation_views_are_always_the_same_and_never_mirrored(self):
    whole = list(datasets.evaluation_dataset(self.data_dir, "train", _CLIP, 6))[0]
    parts = list(datasets.evaluation_dataset(self.data_dir, "train", _CLIP, 2))
    self.assertAllEqual(
      tf.concat([part[keys.VIDEO] for part in parts], axis=0), whole[keys.VIDEO]
    )
    directions_of_clips = whole[keys.DIRECTION].numpy().reshape(6, -1)
    self.assertLen(np.unique(directions_of_clips, axis=0), 6)

  def test_turned_sound_is_out_of_line_and_all_else_the_same(self):
    plain, turned = (
      list(datasets.evaluation_dataset(self.data_dir, "train", _CLIP, 6, turn_sound=turn))[0]
      for turn in (False, True)
    )
    for name in set(plain) - {keys.AUDIO}:
      self.assertAllEqual(plain[name], turned[name])
    yaws = []
    for index in range(6):
      # Rotated back to the front of the clip, where it is a rotation about the vertical axis, the
      # same for all viewpoints.
      fields = []
      for batch in (plain, turned):
        azimuth, elevation = tf.unstack(plain[keys.DIRECTION][index], axis=-1)
        towards = directions.rotation(azimuth, elevation)
        fields.append(ambisonics.rotate(batch[keys.AUDIO][index], towards).numpy())
      self.assertAllClose(fields[0][0], fields[0][2], atol=1e-5)
      self.assertAllClose(fields[1][0], fields[1][2], atol=1e-5)
      before, after = fields[0][0], fields[1][0]
      self.assertAllClose(before[:, [0, 2]], after[:, [0, 2]], atol=1e-5)
      flat = [field[:, 3] + 1j * field[:, 1] for field in (before, after)]
      ratio = np.vdot(flat[0], flat[1]) / np.vdot(flat[0], flat[0])
      self.assertAllClose(np.abs(ratio), 1.0, atol=1e-4)
      yaws.append(np.angle(ratio))
    self.assertGreater(np.std(yaws), 0.5)

  def test_sound_is_turned_in_training_where_that_is_asked_for(self):
    plain, turned = (
      next(iter(self.batches(Augmentation(turn_sound=turn)))) for turn in (False, True)
    )
    self.assertAllEqual(plain[keys.VIDEO], turned[keys.VIDEO])
    self.assertAllClose(plain[keys.AUDIO][..., 0], turned[keys.AUDIO][..., 0], atol=1e-5)
    self.assertNotAllClose(plain[keys.AUDIO][..., 3], turned[keys.AUDIO][..., 3], atol=1e-3)

  def test_masks_show_what_the_views_show(self):
    clip = dataclasses.replace(_CLIP, masks=True)
    (batch,) = datasets.evaluation_dataset(self.data_dir, "train", clip, 6)
    mask = batch[keys.MASK].numpy()
    self.assert_shape(mask, [6, 3, 24, 24], np.int64)
    self.assertAllInRange(mask, 0, 16)
    centre, found = 12, []
    for index in range(6):
      world = _WORLD.clip("train", index)
      azimuth, elevation = batch[keys.DIRECTION][index].numpy().T
      for view in range(3):
        row = int((0.5 - elevation[view] / np.pi) * 64)
        column = int((0.5 - azimuth[view] / (2 * np.pi)) * 128) % 128
        # The middle frame of the window is stored frame 6 or a neighbour, off by half a pixel.
        near = world.masks[5:8, max(0, row - 1) : row + 2].take(
          range(column - 1, column + 2), axis=2, mode="wrap"
        )
        self.assertIn(mask[index, view, centre, centre], near)
        shown = set(np.unique(mask[index, view])) - {0}
        self.assertLessEqual(shown, {1 + label for label in world.tracks.labels})
        found.extend(shown)
    self.assertGreater(len(found), 5)
    self.assertNotIn(keys.MASK, next(iter(self.batches())))
    with self.assertRaisesRegex(ValueError, "masks requires 360° clips: set ClipSpec.viewpoints"):
      ClipSpec(masks=True)

  def test_flips_mirror_the_sound_too(self):
    spec = ViewpointSpec(num_viewpoints=1, flip_probability=1.0)
    frames = tf.constant(self.rng.integers(0, 256, [2, 32, 64, 3]), tf.uint8)
    field = tf.constant(self.rng.normal(size=[50, 4]), tf.float32)
    uniforms = tf.constant(self.rng.random(spec.num_uniforms))
    plain, flipped = (viewpoints.draw(spec, uniforms, flip) for flip in (False, True))
    self.assertAllEqual(
      viewpoints.look(frames, flipped, 8), viewpoints.look(frames, plain, 8)[:, :, :, ::-1]
    )
    self.assertAllClose(
      viewpoints.listen(field, flipped), viewpoints.listen(field, plain) * [1, -1, 1, 1]
    )
    classes = tf.constant(self.rng.integers(0, 9, [32, 64]))
    self.assertAllEqual(
      viewpoints.classes_in_view(classes, flipped, 8),
      viewpoints.classes_in_view(classes, plain, 8)[:, :, ::-1],
    )
    second_order = tf.constant(self.rng.normal(size=[50, 9]), tf.float32)
    self.assertAllClose(
      viewpoints.listen(second_order, flipped),
      ambisonics.mirror(viewpoints.listen(second_order, plain)),
      atol=1e-5,
    )

  def test_panoramas_are_the_clips_as_they_are(self):
    (batch,) = datasets.evaluation_dataset(self.data_dir, "train", _PANORAMA, 6)
    self.assert_shape(batch[keys.VIDEO], [6, 4, 64, 128, 3], tf.uint8)
    self.assert_shape(batch[keys.AUDIO], [6, 4000, 4], tf.float32)
    self.assertNotIn(keys.DIRECTION, batch)
    for index in range(6):
      clip = _WORLD.clip("train", index)
      self.assertAllClose(batch[keys.AUDIO][index], clip.waveform[3500:7500], atol=1e-6)
      # Frames 4 to 7, whose mean time is the same. Only JPEG errors differ.
      difference = np.abs(batch[keys.VIDEO][index].numpy().astype(int) - clip.frames[4:8])
      self.assertLess(np.mean(difference), 8)
    small = dataclasses.replace(_PANORAMA, frame_size=16)
    (found,) = datasets.evaluation_dataset(self.data_dir, "train", small, 6)
    blocks = batch[keys.VIDEO].numpy().reshape(6, 4, 16, 4, 32, 4, 3).mean(axis=(3, 5))
    self.assertAllClose(found[keys.VIDEO], blocks, atol=1.0)

  def test_where_sources_are_while_they_sound(self):
    (batch,) = datasets.evaluation_dataset(self.data_dir, "train", _PANORAMA, 6)
    self.assert_shape(batch[keys.SOURCES], [6, 25, 8, 3], tf.float32)
    time_sec = 3500 / 8000 + (np.arange(25) + 0.5) / 50
    for index in range(6):
      sounding = [one for one in _WORLD._scene("train", index).objects if one.is_sounding]
      expected = np.stack([one.directions(time_sec) for one in sounding], axis=1)
      found = batch[keys.SOURCES][index].numpy()
      self.assertAllEqual(found[:, len(sounding):], np.zeros([25, 8 - len(sounding), 3]))
      # Linear interpolation between frames 1/8 s apart cuts the curves of fast motions.
      cosine = np.sum(found[:, : len(sounding)] * expected, axis=-1)
      self.assertLess(np.max(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), 6.0)
      self.assertAllClose(np.linalg.norm(found[:, : len(sounding)], axis=-1), np.ones(cosine.shape))

  def test_scenes_are_turned_as_a_whole(self):
    plain, turned = (
      next(
        iter(
          datasets.training_dataset(
            self.data_dir, "train", _PANORAMA, augmentation, batch_size=4, seed=3
          )
        )
      )
      for augmentation in (
        Augmentation(**_AS_IT_IS), Augmentation(**_AS_IT_IS, turn_scene=True)
      )
    )  # fmt: skip
    columns = []
    for index in range(4):
      before, after = (batch[keys.VIDEO][index].numpy() for batch in (plain, turned))
      matches = [n for n in range(128) if np.array_equal(np.roll(before, -n, axis=2), after)]
      self.assertLen(matches, 1)
      columns += matches
      # The front has moved to the left by this number of columns.
      yaw_rad = tf.constant(2 * np.pi * matches[0] / 128, tf.float32)
      expected = ambisonics.rotate(plain[keys.AUDIO][index], directions.rotation(yaw_rad))
      self.assertAllClose(turned[keys.AUDIO][index], expected, atol=1e-5)
    self.assertGreater(len(set(columns)), 1)

  def test_flow_is_that_of_the_frames(self):
    clip = dataclasses.replace(_PANORAMA, flow=True)
    (batch,) = datasets.evaluation_dataset(self.data_dir, "train", clip, 6)
    self.assert_shape(batch[keys.FLOW], [6, 4, 64, 128, 3], tf.uint8)
    small = dataclasses.replace(clip, frame_size=16)
    (found,) = datasets.evaluation_dataset(self.data_dir, "train", small, 6)
    slow = dataclasses.replace(clip, num_frames=2, frame_rate_hz=4.0)
    (every_second,) = datasets.evaluation_dataset(self.data_dir, "train", slow, 6)
    for index in range(6):
      expected = optical_flow.flow_pictures(_WORLD.clip("train", index).frames)
      difference = np.abs(batch[keys.FLOW][index].numpy().astype(int) - expected[4:8])
      self.assertLess(np.mean(difference), 1.5)
      # For every second stored frame, flow is still to the next stored frame.
      moving = every_second[keys.FLOW][index].numpy().astype(int)
      differences = [np.mean(np.abs(moving - expected[n : n + 3 : 2])) for n in range(10)]
      self.assertLess(min(differences), 1.5)
      self.assertIn(np.argmin(differences), (4, 5))
    blocks = batch[keys.FLOW].numpy().reshape(6, 4, 16, 4, 32, 4, 3).mean(axis=(3, 5))
    self.assertAllClose(found[keys.FLOW], blocks, atol=1.0)
    (plain,) = datasets.evaluation_dataset(self.data_dir, "train", _PANORAMA, 6)
    self.assertNotIn(keys.FLOW, plain)
    self.assertAllEqual(plain[keys.VIDEO], batch[keys.VIDEO])

  def test_flow_is_turned_with_the_scene_and_keeps_its_colors(self):
    clip = dataclasses.replace(_PANORAMA, flow=True)
    plain, turned, colored = (
      next(iter(datasets.training_dataset(self.data_dir, "train", clip, augmentation, 4, seed=3)))
      for augmentation in (
        Augmentation(**_AS_IT_IS), Augmentation(**_AS_IT_IS, turn_scene=True), Augmentation()
      )
    )  # fmt: skip
    self.assertNotAllEqual(plain[keys.VIDEO], colored[keys.VIDEO])
    self.assertAllEqual(plain[keys.FLOW], colored[keys.FLOW])
    for index in range(4):
      columns = {}
      for name in (keys.VIDEO, keys.FLOW):
        before, after = (batch[name][index].numpy() for batch in (plain, turned))
        columns[name] = [
          n for n in range(128) if np.array_equal(np.roll(before, -n, axis=2), after)
        ]
      self.assertLen(columns[keys.FLOW], 1)
      self.assertEqual(columns[keys.FLOW], columns[keys.VIDEO])

  def test_flow_must_be_stored_and_is_of_panoramas(self):
    without = _build(dataclasses.replace(_WORLD, num_train=2))
    clip = dataclasses.replace(_PANORAMA, flow=True)
    with self.assertRaisesRegex(ValueError, "have no optical flow, .* build them with --flow"):
      datasets.evaluation_dataset(without, "train", clip, 2)
    self.assertIn(keys.VIDEO, next(iter(self.evaluation(without))))
    with self.assertRaisesRegex(ValueError, "ClipSpec.flow requires panoramas: set ClipSpec.p"):
      dataclasses.replace(_CLIP, flow=True)

  def evaluation(self, data_dir):
    return datasets.evaluation_dataset(data_dir, "train", _PANORAMA, 2)

  def test_channels_that_a_clip_has(self):
    self.assertNotIn(keys.CHANNELS, next(iter(self.batches())))
    (batch,) = datasets.evaluation_dataset(self.data_dir, "train", _PANORAMA, 6)
    self.assertAllEqual(batch[keys.CHANNELS], np.full([6, 4], True))
    scenes = datasets.training_dataset(
      self.data_dir, "train", _PANORAMA, Augmentation(turn_scene=True), 4, seed=3
    )
    self.assertAllEqual(next(iter(scenes))[keys.CHANNELS], np.full([4, 4], True))

  def test_clips_are_whole_or_seen_from_viewpoints(self):
    with self.assertRaisesRegex(ValueError, "panorama and ClipSpec.viewpoints exclude each other"):
      dataclasses.replace(_CLIP, panorama=True)

  def test_records_and_clip_spec_must_go_together(self):
    ordinary = _build(PlanarWorld(num_train=4, num_test=1))
    with self.assertRaisesRegex(ValueError, "ordinary video, but ClipSpec.viewpoints requires"):
      datasets.evaluation_dataset(ordinary, "train", _CLIP, 2)
    with self.assertRaisesRegex(ValueError, "contain 360° video .equirectangular.: set ClipSpec"):
      datasets.evaluation_dataset(self.data_dir, "train", ClipSpec(audio_sec=1.0), 2)
    with self.assertRaisesRegex(ValueError, "ordinary video, but ClipSpec.panorama requires"):
      datasets.evaluation_dataset(ordinary, "train", _PANORAMA, 2)


if __name__ == "__main__":
  tf.test.main()

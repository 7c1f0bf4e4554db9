"""Scenes with given properties, for tests of the planar world."""

import numpy as np

from avssl_tf.data.synthetic import planar_frames, planar_scene


def scene(shape="disc", motion="oscillate", cycles=2.0, phase=0.1, size=0.5, **cues):
  """A scene with a given number of motion cycles per clip and given cues."""
  return planar_scene.Scene(
    shape=planar_scene.SHAPES.index(shape),
    motion=planar_scene.MOTIONS.index(motion),
    rate_hz=cycles / planar_scene.CLIP_DURATION_SEC,
    phase=phase,
    size=size,
    cues=planar_scene.Cues(**cues),
  )


def render(scene, seed=0):
  """Frames and boxes of a scene."""
  return planar_frames.render(scene, np.random.default_rng(seed))

"""Images of training clips as the network receives them: frames above, audio below."""

import math
from collections.abc import Sequence
from typing import Callable

import cv2
import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl_tf import keys
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.foreign_text import printable
from avssl_tf.models.network import Network, SoundMap
from avssl_tf.training.training_data import TrainingData

# Maximum number of clips, or of views, in an image.
_MAX_PANELS = 8
# Sizes in inches.
_PANEL_WIDTH = 5.2
_VIEW_WIDTH = 2.6  # Several are drawn side by side.
_MARGIN = 0.25  # On the left, for the names of the maps; half of it on the right.
_TITLE_HEIGHT = 0.3
_AXIS_HEIGHT = 0.3  # Of the tick labels below the audio.
_SOUND_HEIGHT = 0.8
_MAP_HEIGHT = 0.4  # Of each map, if a waveform has several.
_DOTS_PER_INCH = 100
_STRIP_ASPECT = 8.0  # Maximum aspect ratio of a strip of frames.
_VIEW_STRIP_ASPECT = 4.0
_FRAME_HEIGHT = 80  # Minimum height of a frame, in pixels.
_GAP = 2  # In pixels.
_CHANNEL_NAMES = ("W", "Y", "Z", "X")
_DIRECTION_NAMES = ("y", "z", "x")


def draw(
  batch: keys.Batch, network: Network, clip: ClipSpec, label_names: Sequence[str]
) -> np.ndarray:
  """Draws the clips of a batch.

  Each panel shows as many frames as fit, evenly spaced over the clip; the optical-flow images, if
  the batch has any; and the output of the network's first audio layer, low frequencies at the
  bottom. For a spectrogram front end these are the normalised maps: of a sound field, the levels of
  W, Y, Z and X and the components of its direction (blue to red: -1 to 1). For a network that
  generates sound fields it is the level of W, its only audio input. Views of 360° clips are drawn
  side by side.

  Args:
    batch: clips, as from `datasets.training_dataset`.
    network: the network that is trained.
    clip: the part of a record that the network receives.
    label_names: names of the classes.

  Returns:
    uint8 `[H, W, 3]`, RGB.
  """
  has_views = keys.VIEW_LABEL in batch
  # Each view has a panel.
  num_columns = batch[keys.VIDEO].shape[1] if has_views else 2
  width, aspect = (
    (_VIEW_WIDTH, _VIEW_STRIP_ASPECT) if has_views else (_PANEL_WIDTH, _STRIP_ASPECT)
  )
  pictures = [batch[key].numpy() for key in (keys.VIDEO, keys.FLOW) if key in batch]
  strips = [
    [_filmstrip(frames, aspect) for frames in picture.reshape(-1, *picture.shape[-4:])]
    for picture in pictures
  ]
  waveforms = batch[keys.AUDIO]
  sounds, names = _sounds(tf.reshape(waveforms, [-1, *waveforms.shape[-2:]]), network)
  titles = _titles(batch, label_names)

  strip_width = width - 1.5 * _MARGIN
  strip_heights = [strip_width * s[0].shape[0] / s[0].shape[1] for s in strips]
  sound_height = _MAP_HEIGHT * len(names) if names else _SOUND_HEIGHT
  height = _TITLE_HEIGHT + sum(strip_heights) + _MARGIN / 2 + sound_height + _AXIS_HEIGHT
  figure = Figure(
    (width * num_columns, height * math.ceil(len(titles) / num_columns)), dpi=_DOTS_PER_INCH
  )
  canvas = FigureCanvasAgg(figure)  # Needs no display.
  for number, title in enumerate(titles):
    row, column = divmod(number, num_columns)
    left, top = width * column + _MARGIN, height * row + _TITLE_HEIGHT
    for strip, strip_height in zip(strips, strip_heights):
      axes = _axes(figure, left, top, strip_width, strip_height)
      axes.imshow(strip[number], aspect="auto")
      axes.axis("off")
      top += strip_height
    # Dollar signs in names do not start formulas.
    figure.text(
      (left + strip_width / 2) / figure.get_figwidth(),
      1 - (height * row + _TITLE_HEIGHT - 0.03) / figure.get_figheight(),
      printable(title),
      fontsize=7,
      ha="center",
      parse_math=False,
    )
    axes = _axes(figure, left, top + _MARGIN / 2, strip_width, sound_height)
    _draw_sound(axes, sounds[number], names, clip.audio_sec)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def of_steps(
  network: Network, data: TrainingData, sampling: str, seed: int
) -> Callable[[int], np.ndarray]:
  """Returns a function from a step to an image of the first clips of its batch; see `draw`.

  Args:
    network: the network that is trained.
    data: the training data.
    sampling: see `TrainingData.batches`.
    seed: see `TrainingData.batches`.
  """

  def draw_step(step: int) -> np.ndarray:
    clips = data.first_clips(step, sampling, seed, max_clips(data.clip))
    return draw(clips, network, data.clip, data.info.label_names)

  return draw_step


def max_clips(clip: ClipSpec) -> int:
  """Maximum number of clips in an image."""
  return max(1, _MAX_PANELS // (clip.viewpoints.num_viewpoints if clip.viewpoints else 1))


def _axes(figure: Figure, left: float, top: float, width: float, height: float):
  """Axes at a position in a figure, in inches from its upper left corner."""
  across, down = figure.get_size_inches()
  return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def _filmstrip(frames: np.ndarray, aspect: float) -> np.ndarray:
  """Frames, uint8 `[T, H, W, 3]`, enlarged and side by side: uint8 `[h, w, 3]`."""
  height, width = frames.shape[1:3]
  count = min(len(frames), max(1, round(aspect * height / width)))
  chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
  scale = math.ceil(_FRAME_HEIGHT / height)
  size = (width * scale, height * scale)
  large = [cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST) for frame in chosen]
  gap = np.full((height * scale, _GAP * scale, 3), 255, np.uint8)
  return np.concatenate([part for frame in large for part in (gap, frame)][1:], axis=1)


def _sounds(waveforms: tf.Tensor, network: Network) -> tuple[np.ndarray, Sequence[str]]:
  """Outputs of the network's first audio layer, as images.

  Args:
    waveforms: float32 `[N, samples, C]`.
    network: the network.

  Returns:
    uint8 `[N, H, frames, 3]`: the maps of each waveform, one below the other; and their names, ()
    for a single map.
  """
  pictures = [_coloured(sound_map) for sound_map in network.sound_maps(waveforms)]
  gap = np.full((len(waveforms), _GAP, *pictures[0].shape[2:]), 255, np.uint8)
  joined = np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)
  if len(pictures) == 1:
    return joined, ()
  if waveforms.shape[-1] == len(_CHANNEL_NAMES):
    return joined, (_CHANNEL_NAMES + _DIRECTION_NAMES)[: len(pictures)]
  return joined, [f"{index + 1}" for index in range(len(pictures))]


def _coloured(sound_map: SoundMap) -> np.ndarray:
  """Colour images of a map, uint8 `[N, bins, frames, 3]`, the lowest bin at the bottom."""
  values = np.transpose(sound_map.values, [0, 2, 1])[:, ::-1]
  shares = (values - sound_map.low) / (sound_map.high - sound_map.low)
  colours = colormaps["RdBu_r" if sound_map.signed else "magma"]
  return colours(np.clip(shares, 0, 1), bytes=True)[..., :3]


def _draw_sound(axes, picture: np.ndarray, names: Sequence[str], duration_sec: float) -> None:
  axes.imshow(picture, aspect="auto", extent=(0, duration_sec, 0, 1))
  axes.tick_params(labelsize=6, length=2, pad=1)
  axes.set_yticks((np.arange(len(names))[::-1] + 0.5) / max(len(names), 1), names)
  axes.set_xlabel("s", fontsize=6, labelpad=1)


def _titles(batch: keys.Batch, label_names: Sequence[str]) -> list[str]:
  """One title per clip, or per view."""

  def name(label: int) -> str:
    return label_names[label] if 0 <= label < len(label_names) else "no label"

  ids = [key.decode("utf-8", "replace")[-48:] for key in batch[keys.KEY].numpy()]
  if keys.VIEW_LABEL not in batch:
    return [f"{name(label)}   {key}" for label, key in zip(batch[keys.LABEL].numpy(), ids)]
  titles = []
  for key, labels, directions in zip(
    ids, batch[keys.VIEW_LABEL].numpy(), np.rad2deg(batch[keys.DIRECTION].numpy())
  ):
    for label, (azimuth_deg, elevation_deg) in zip(labels, directions):
      titles.append(f"{key}\n{name(label)}   {azimuth_deg:.0f}°, {elevation_deg:.0f}° up")
  return titles

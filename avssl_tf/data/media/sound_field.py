"""The sound field of a file: which track has it, and which of its channels make W, Y, Z and X.

What the file says of its channels counts. Where it says nothing, their number tells: those of an
order of ambisonics, or two more, which are head-locked stereo.
"""

import dataclasses
import functools
import math
import os
from typing import NamedTuple, Optional

import av
import numpy as np

from avssl_tf.data.media import media_streams, media_tracks
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.metadata import ambisonic_metadata
from avssl_tf.data.metadata.ambisonic_field import FUMA, N3D, Field

ACN, YOUTUBE_AAC = "acn", "youtube_aac"
CHANNEL_ORDERS = (ACN, "fuma", YOUTUBE_AAC)
_ORDERS = {4: "the first order", 9: "the second order", 16: "the third order"}
_HEAD_LOCKED = 2
# Where W, Y, Z and X are in the AAC sound of YouTube's 360° videos, which carries them as the
# centre, the right, a rear and the left channel of a layout for loudspeakers.
_YOUTUBE_AAC = {4: (2, 1, 3, 0), 6: (2, 1, 4, 0)}
_FUMA_PLACES = (0, 2, 3, 1)
_NAMES = "WYZX"
# Gains that make SN3D of W, Y, Z and X.
_GAINS = {FUMA: (math.sqrt(2.0), 1.0, 1.0, 1.0), N3D: (1.0, *(1.0 / math.sqrt(3.0),) * 3)}
_SN3D_GAINS = (1.0, 1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class FirstOrder:
  """How to make W, Y, Z and X (SN3D) of the channels of a sound.

  Attributes:
    channels: which channel each of them is.
    gains: what each is multiplied by.
    notes: what the user should know.
  """

  channels: tuple[int, int, int, int] = (0, 1, 2, 3)
  gains: tuple[float, float, float, float] = _SN3D_GAINS
  notes: tuple[str, ...] = ()

  def of(self, waveform: np.ndarray) -> np.ndarray:
    """The field, float32 `[samples, 4]`, of `[samples, channels]`."""
    return waveform[:, list(self.channels)] * np.float32(self.gains)


class Choice(NamedTuple):
  """The sound field of a file.

  Attributes:
    track: number of its track among those of sound, from 1.
    num_channels: of that track, by what the container says.
    first_order: how to make the field of its channels.
  """

  track: int
  num_channels: int
  first_order: FirstOrder


def choose(path: str, channel_order: str = ACN, audio_track: Optional[int] = None) -> Choice:
  """Finds the sound field of a file.

  Args:
    path: the file.
    channel_order: one of `CHANNEL_ORDERS`, where the file says nothing.
    audio_track: number of the track to take, from 1; None for the first that can be a sound field:
      one that the file says it of, or else one of the right number of channels, the default one
      before others.

  Raises:
    MediaError: no track can be one; the message lists them.
  """
  status = os.stat(path) if os.path.exists(path) else None
  state = (status.st_size, status.st_mtime_ns) if status else (0, 0)
  return _choose(path, channel_order, audio_track, *state)


def said(path: str, track: av.AudioStream, num_channels: int) -> Optional[FirstOrder]:
  """How to make the first order of a sound, by what its file says; None: it says nothing.

  Args:
    path: the file.
    track: open, of that file.
    num_channels: of the sound as it is decoded.

  Raises:
    MediaError: what the file says cannot be read.
  """
  field = ambisonic_metadata.of_track(path, track)
  return None if field is None else first_order_of(num_channels, ACN, field)


class Mono(NamedTuple):
  """The channel of a sound field that is W, and the gain that makes SN3D of it."""

  channel: int
  gain: float


def mono_of(path: str, track: av.AudioStream, num_channels: int) -> Optional[Mono]:
  """Which channel of a sound is W, where its file says so; None where it says nothing.

  Args:
    path: the file.
    track: open, of that file.
    num_channels: of the sound as it is decoded.
  """
  field = ambisonic_metadata.of_track(path, track)
  if field is None or field.problem is not None or len(field.components) != num_channels:
    return None
  if 0 not in field.components:
    return None
  return Mono(field.components.index(0), _GAINS.get(field.weights, _SN3D_GAINS)[0])


@functools.lru_cache(maxsize=64)
def _choose(
  path: str, channel_order: str, audio_track: Optional[int], size: int, mtime_ns: int
) -> Choice:
  del size, mtime_ns  # They tell whether the cache is of the same file.
  with media_streams.open_streams(path, ()) as media:
    tracks = list(media.container.streams.audio)
    if not tracks:
      raise MediaError("no audio stream")
    default = media_tracks.choose(tracks)
    candidates = [media_tracks.choose(tracks, audio_track)] if audio_track else tracks
    found, reasons = [], {}
    for track in candidates:
      number, count = tracks.index(track) + 1, media_tracks.channels(track)
      try:
        field = ambisonic_metadata.of_track(path, track)
        first_order = first_order_of(count, channel_order, field)
      except MediaError as error:
        reasons[number] = str(error)
      else:
        rank = (field is None, count not in _ORDERS, track is not default, number)
        found.append((rank, Choice(number, count, first_order)))
    if not found:
      number = tracks.index(candidates[0] if audio_track else default) + 1
      others = f". The file has {media_tracks.listed(tracks)}" if len(tracks) > 1 else ""
      raise MediaError(reasons[number] + others)
    choice = min(found)[1]
    if audio_track is None and choice.track != tracks.index(default) + 1:
      note = (
        f"sound track {choice.track} is taken, which can be ambisonics, and not the default one: "
        f"the file has {media_tracks.listed(tracks)}"
      )
      first_order = dataclasses.replace(
        choice.first_order, notes=(note, *choice.first_order.notes)
      )
      choice = choice._replace(first_order=first_order)
    return choice


def first_order_of(
  num_channels: int, channel_order: str = ACN, field: Optional[Field] = None
) -> FirstOrder:
  """How to make the first order of the channels of a sound.

  Args:
    num_channels: of the sound.
    channel_order: one of `CHANNEL_ORDERS`, where nothing is said.
    field: what the file says of them; None: nothing.

  Raises:
    MediaError: they are no ambisonics, what the file says cannot be read, or it is another order
      than `channel_order`.
  """
  if field is not None:
    return _said(num_channels, channel_order, field)
  if channel_order == YOUTUBE_AAC:
    if num_channels not in _YOUTUBE_AAC:
      raise MediaError(
        f"no ambisonics: the sound has {num_channels} channel(s); AAC of YouTube's 360° videos has "
        "4 or 6"
      )
    return FirstOrder(_YOUTUBE_AAC[num_channels])
  notes = ()
  if num_channels - _HEAD_LOCKED in _ORDERS:
    number = num_channels - _HEAD_LOCKED
    notes = (
      f"the sound has {num_channels} channels: the first {number} are taken for ambisonics of "
      f"{_ORDERS[number]}, the last two for head-locked stereo, which is left out",
    )
  elif num_channels not in _ORDERS:
    raise MediaError(
      f"no ambisonics: the sound has {num_channels} channel(s); the first order has 4, the second "
      "9, the third 16, or two more each with head-locked stereo"
    )
  if channel_order == ACN:
    return FirstOrder(notes=notes)
  return FirstOrder(_FUMA_PLACES, _GAINS[FUMA], notes)


def _said(num_channels: int, channel_order: str, field: Field) -> FirstOrder:
  if field.problem is not None:
    raise MediaError(
      f"ambisonics that cannot be read: {field.where} says {field.problem}. Convert the sound to "
      "four channels W Y Z X (ACN, SN3D) first"
    )
  components = field.components
  if len(components) != num_channels:
    raise MediaError(
      f"ambisonics that cannot be read: {field.where} is of {len(components)} channel(s), the "
      f"sound has {num_channels}. Correct the file"
    )
  notes = []
  channels, gains = [], list(_GAINS.get(field.weights, _SN3D_GAINS))
  for component, name in enumerate(_NAMES):
    if component in components:
      channels.append(components.index(component))
    elif name == "Z" and field.weights == FUMA:
      channels.append(0)
      gains[component] = 0.0
      notes.append(f"{field.where} says that the sound has no Z (height): it is silent")
    else:
      raise MediaError(f"no ambisonics: {field.where} says of no channel that it is {name}")
  plain = field.weights not in _GAINS and channels == [0, 1, 2, 3]
  first_order = FirstOrder(tuple(channels), tuple(gains))
  _check_flag(channel_order, first_order, num_channels, field)
  if not plain:
    notes.insert(0, _converted(field, channels))
  others = components.count(None)
  if others:
    notes.append(
      f"{field.where} says that {others} of the {num_channels} channels are no ambisonics "
      "(head-locked stereo): they are left out"
    )
  return dataclasses.replace(first_order, notes=tuple(notes))


def _converted(field: Field, channels: list[int]) -> str:
  order = ", ".join(f"{name} is channel {place + 1}" for name, place in zip(_NAMES, channels))
  return (
    f"{field.where} says that {order}, with {field.weights} weights: converted to W Y Z X (ACN, "
    "SN3D)"
  )


def _check_flag(
  channel_order: str, first_order: FirstOrder, num_channels: int, field: Field
) -> None:
  """With `ACN`, what files say counts; where they say nothing, ACN is assumed."""
  if channel_order == ACN:
    return
  try:
    asked = first_order_of(num_channels, channel_order)
  except MediaError:
    asked = None
  if asked is None or (asked.channels, asked.gains) != (first_order.channels, first_order.gains):
    places = ", ".join(str(channel + 1) for channel in first_order.channels)
    raise MediaError(
      f"another order of channels: {field.where} says that W, Y, Z and X are the channels "
      f"{places}, with {field.weights} weights, and --channel_order={channel_order} something "
      "else. Leave the flag out, or correct the file"
    )

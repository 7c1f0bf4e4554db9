"""The sound field of a file: the track that contains it, and the channels that form W, Y, Z and X.

The metadata of the file takes precedence. Without metadata, the number of channels decides: that of
an ambisonic order, or two more, which are head-locked stereo.
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
# Positions of W, Y, Z and X in the AAC audio of YouTube's 360° videos. They are stored as the
# centre, right, rear and left channels of a loudspeaker layout.
_YOUTUBE_AAC = {4: (2, 1, 3, 0), 6: (2, 1, 4, 0)}
_FUMA_PLACES = (0, 2, 3, 1)
_NAMES = "WYZX"
# Gains that convert W, Y, Z and X to SN3D.
_GAINS = {FUMA: (math.sqrt(2.0), 1.0, 1.0, 1.0), N3D: (1.0, *(1.0 / math.sqrt(3.0),) * 3)}
_SN3D_GAINS = (1.0, 1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class FirstOrder:
  """Conversion of audio channels to W, Y, Z and X (SN3D).

  Attributes:
    channels: index of the channel for each component.
    gains: gain of each component.
    notes: remarks for the user.
  """

  channels: tuple[int, int, int, int] = (0, 1, 2, 3)
  gains: tuple[float, float, float, float] = _SN3D_GAINS
  notes: tuple[str, ...] = ()

  def of(self, waveform: np.ndarray) -> np.ndarray:
    """Converts `[samples, channels]` to the field, float32 `[samples, 4]`."""
    return waveform[:, list(self.channels)] * np.float32(self.gains)


class Choice(NamedTuple):
  """The sound field of a file.

  Attributes:
    track: number of its audio track, from 1.
    num_channels: number of channels of that track as the container states it.
    first_order: conversion of its channels to first-order ambisonics.
  """

  track: int
  num_channels: int
  first_order: FirstOrder


def choose(path: str, channel_order: str = ACN, audio_track: Optional[int] = None) -> Choice:
  """Finds the sound field of a file.

  Args:
    path: the file.
    channel_order: one of `CHANNEL_ORDERS`, for files without metadata.
    audio_track: number of the track, from 1. None selects the first track that can be a sound
      field: one with ambisonic metadata, otherwise one with a matching number of channels, with
      preference for the default track.

  Raises:
    MediaError: no track can be a sound field; the message lists the tracks.
  """
  status = os.stat(path) if os.path.exists(path) else None
  state = (status.st_size, status.st_mtime_ns) if status else (0, 0)
  return _choose(path, channel_order, audio_track, *state)


def said(path: str, track: av.AudioStream, num_channels: int) -> Optional[FirstOrder]:
  """The first-order conversion that the metadata of a file describes; None without metadata.

  Args:
    path: the file.
    track: open track of that file.
    num_channels: number of channels of the decoded audio.

  Raises:
    MediaError: the metadata describes a field that cannot be read.
  """
  field = ambisonic_metadata.of_track(path, track)
  return None if field is None else first_order_of(num_channels, ACN, field)


class Mono(NamedTuple):
  """The W channel of a sound field, and the gain that converts it to SN3D."""

  channel: int
  gain: float


def mono_of(path: str, track: av.AudioStream, num_channels: int) -> Optional[Mono]:
  """The W channel of an audio track according to the metadata; None if it describes none.

  Args:
    path: the file.
    track: open track of that file.
    num_channels: number of channels of the decoded audio.
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
  del size, mtime_ns  # Cache key: they change when the file changes.
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
        f"audio track {choice.track} is used, which can be ambisonics, instead of the default one: "
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
  """The conversion of audio channels to first-order ambisonics.

  Args:
    num_channels: number of channels of the audio.
    channel_order: one of `CHANNEL_ORDERS`, for files without metadata.
    field: metadata of the file about its channels; None without metadata.

  Raises:
    MediaError: the channels are not ambisonics, the metadata describes a field that cannot be read,
      or it contradicts `channel_order`.
  """
  if field is not None:
    return _said(num_channels, channel_order, field)
  if channel_order == YOUTUBE_AAC:
    if num_channels not in _YOUTUBE_AAC:
      raise MediaError(
        f"not ambisonics: the audio has {num_channels} channel(s); AAC of YouTube's 360° videos "
        "has 4 or 6"
      )
    return FirstOrder(_YOUTUBE_AAC[num_channels])
  notes = ()
  if num_channels - _HEAD_LOCKED in _ORDERS:
    number = num_channels - _HEAD_LOCKED
    notes = (
      f"the audio has {num_channels} channels: the first {number} are read as ambisonics of "
      f"{_ORDERS[number]}; the last two, head-locked stereo, are ignored",
    )
  elif num_channels not in _ORDERS:
    raise MediaError(
      f"not ambisonics: the audio has {num_channels} channel(s); the first order has 4, the second "
      "9, the third 16, or two more each with head-locked stereo"
    )
  if channel_order == ACN:
    return FirstOrder(notes=notes)
  return FirstOrder(_FUMA_PLACES, _GAINS[FUMA], notes)


def _said(num_channels: int, channel_order: str, field: Field) -> FirstOrder:
  if field.problem is not None:
    raise MediaError(
      f"unsupported ambisonics in {field.where}: {field.problem}. Convert the audio to four "
      "channels W Y Z X (ACN, SN3D) first"
    )
  components = field.components
  if len(components) != num_channels:
    raise MediaError(
      f"unsupported ambisonics: {field.where} describes {len(components)} channel(s), but the "
      f"audio has {num_channels}. Correct the file"
    )
  notes = []
  channels, gains = [], list(_GAINS.get(field.weights, _SN3D_GAINS))
  for component, name in enumerate(_NAMES):
    if component in components:
      channels.append(components.index(component))
    elif name == "Z" and field.weights == FUMA:
      channels.append(0)
      gains[component] = 0.0
      notes.append(f"{field.where} lists no Z channel (height): Z is silent")
    else:
      raise MediaError(f"not ambisonics: {field.where} lists no {name} channel")
  plain = field.weights not in _GAINS and channels == [0, 1, 2, 3]
  first_order = FirstOrder(tuple(channels), tuple(gains))
  _check_flag(channel_order, first_order, num_channels, field)
  if not plain:
    notes.insert(0, _converted(field, channels))
  others = components.count(None)
  if others:
    notes.append(
      f"{field.where} states that {others} of the {num_channels} channels are not ambisonics "
      "(head-locked stereo): they are ignored"
    )
  return dataclasses.replace(first_order, notes=tuple(notes))


def _converted(field: Field, channels: list[int]) -> str:
  order = ", ".join(f"{name} is channel {place + 1}" for name, place in zip(_NAMES, channels))
  return (
    f"{field.where} states that {order}, with {field.weights} weights: converted to W Y Z X (ACN, "
    "SN3D)"
  )


def _check_flag(
  channel_order: str, first_order: FirstOrder, num_channels: int, field: Field
) -> None:
  """Checks that the metadata agrees with the flag; `ACN` is the default and never contradicts."""
  if channel_order == ACN:
    return
  try:
    asked = first_order_of(num_channels, channel_order)
  except MediaError:
    asked = None
  if asked is None or (asked.channels, asked.gains) != (first_order.channels, first_order.gains):
    places = ", ".join(str(channel + 1) for channel in first_order.channels)
    raise MediaError(
      f"channel order mismatch: {field.where} states that W, Y, Z and X are channels {places}, "
      f"with {field.weights} weights, which contradicts --channel_order={channel_order}. Omit the "
      "flag, or correct the file"
    )

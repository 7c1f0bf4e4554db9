"""Selects the track to read in files with several tracks of a modality."""

from collections.abc import Sequence
from typing import Optional

import av

from avssl_tf import keys
from avssl_tf.data.media.media_limits import MediaError

# Flag to select another track, for messages.
AUDIO_TRACK_FLAG = "--audio_track"


def choose(tracks: Sequence[av.stream.Stream], number: Optional[int] = None) -> av.stream.Stream:
  """Selects the track to read.

  Args:
    tracks: tracks of one modality, at least one.
    number: number of the track, from 1. None selects the first track marked as default in the file,
      or the first track if none is marked.

  Raises:
    MediaError: there are fewer tracks.
  """
  if number is None:
    default = (t for t in tracks if t.disposition & av.stream.Disposition.default)
    return next(default, tracks[0])
  if not 1 <= number <= len(tracks):
    raise MediaError(
      f"no audio track {number}: {AUDIO_TRACK_FLAG}={number}, but the file has {listed(tracks)}"
    )
  return tracks[number - 1]


def listed(tracks: Sequence[av.stream.Stream]) -> str:
  """The audio tracks of a file for a message: "2 audio tracks: 1 (aac, 2 channel(s)), ..."."""
  chosen = choose(tracks)
  names = [
    f"{number} ({describe(track)}{', the default' if track is chosen else ''})"
    for number, track in enumerate(tracks, start=1)
  ]
  if len(tracks) == 1:
    return f"1 audio track: {names[0]}"
  return f"{len(tracks)} audio tracks: {'; '.join(names)}"


def describe(track: av.stream.Stream) -> str:
  """Codec and number of channels of an audio track, for a message."""
  if track.codec_context is None:
    return "codec without a decoder"
  return f"{track.codec_context.name}, {channels(track)} channel(s)"


def channels(track: av.stream.Stream) -> int:
  """Number of channels of an audio track as the container states it; 0 without a decoder."""
  return 0 if track.codec_context is None else track.codec_context.channels


def of_kind(container: av.container.InputContainer, modality: str) -> list[av.stream.Stream]:
  """All video or audio tracks; cover art does not count as video."""
  if modality == keys.AUDIO:
    return list(container.streams.audio)
  return [
    stream
    for stream in container.streams.video
    if not stream.disposition & av.stream.Disposition.attached_pic
  ]

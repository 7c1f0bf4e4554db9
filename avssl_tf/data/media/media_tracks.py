"""Which track of a kind is read where a file has several."""

from collections.abc import Sequence
from typing import Optional

import av

from avssl_tf import keys
from avssl_tf.data.media.media_limits import MediaError

# How tracks are chosen for a user who wants another one.
AUDIO_TRACK_FLAG = "--audio_track"


def choose(tracks: Sequence[av.stream.Stream], number: Optional[int] = None) -> av.stream.Stream:
  """The track to read.

  Args:
    tracks: those of one kind, one at least.
    number: which of them, from 1; None for the default one of the file, which is the first of those
      that the file marks so, or else the first.

  Raises:
    MediaError: there are fewer.
  """
  if number is None:
    default = (t for t in tracks if t.disposition & av.stream.Disposition.default)
    return next(default, tracks[0])
  if not 1 <= number <= len(tracks):
    raise MediaError(
      f"no sound track {number}: {AUDIO_TRACK_FLAG}={number}, but the file has {listed(tracks)}"
    )
  return tracks[number - 1]


def listed(tracks: Sequence[av.stream.Stream]) -> str:
  """The sound tracks of a file for a message, such as "2 sound tracks: 1 (aac, stereo), ..."."""
  chosen = choose(tracks)
  names = [
    f"{number} ({describe(track)}{', the default' if track is chosen else ''})"
    for number, track in enumerate(tracks, start=1)
  ]
  if len(tracks) == 1:
    return f"1 sound track: {names[0]}"
  return f"{len(tracks)} sound tracks: {'; '.join(names)}"


def describe(track: av.stream.Stream) -> str:
  """Codec and channels of a sound track, for a message."""
  if track.codec_context is None:
    return "of a codec that cannot be decoded"
  return f"{track.codec_context.name}, {channels(track)} channel(s)"


def channels(track: av.stream.Stream) -> int:
  """Channels of a sound track, by what the container says; 0 where it cannot be decoded."""
  return 0 if track.codec_context is None else track.codec_context.channels


def of_kind(container: av.container.InputContainer, modality: str) -> list[av.stream.Stream]:
  """The tracks of pictures or of sound; cover art is no picture."""
  if modality == keys.AUDIO:
    return list(container.streams.audio)
  return [
    stream
    for stream in container.streams.video
    if not stream.disposition & av.stream.Disposition.attached_pic
  ]

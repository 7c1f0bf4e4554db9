"""Checks the time line of a file for jumps and gaps.

After a clock jump, a small file may appear to last for years. Cutting it into clips or filling its
gaps would never end.
"""

import os
from collections.abc import Sequence

from avssl_tf import keys
from avssl_tf.data.media import media_limits, media_streams
from avssl_tf.data.media.media_limits import MediaError

# Longer files are rare, and reading their packets takes far less time than decoding them.
_LONG_SEC = 3600.0
# Files below 32 kbit/s are small for their duration: data may be missing.
_FEW_BYTES_PER_SEC = 4000
# Shorter gaps are normal between held frames or between audio packets.
_SHORT_GAP_SEC = 10.0


def are_doubtful(path: str, duration_sec: float) -> bool:
  """Whether `check`, which reads the whole file, is needed."""
  if duration_sec <= media_limits.MAX_GAP_SEC:
    return False
  return duration_sec > _LONG_SEC or os.path.getsize(path) < _FEW_BYTES_PER_SEC * duration_sec


def check(path: str, modalities: Sequence[str] = keys.MODALITIES) -> None:
  """Checks the times of all packets of a file, without decoding.

  A gap is an interval in which neither a video nor an audio packet starts, whether or not its
  stream is requested: a frame may be held for hours while there is audio. Times that decrease are
  not gaps.

  Args:
    path: the file.
    modalities: requested streams.

  Raises:
    MediaError: one gap exceeds `media_limits.MAX_GAP_SEC`; all gaps together exceed both that and
      the rest of the file; or the file is too long.
  """
  first_sec = latest_sec = None
  gaps_sec = 0.0
  with media_streams.open_streams(path, modalities) as media:
    for packet in media_streams.demux(media, with_ignored=True):
      times = media_streams.packet_times_sec(packet, 0.0)
      if times is None:
        continue
      if latest_sec is None:
        first_sec = latest_sec = times[0]
      gap_sec = times[0] - latest_sec
      if gap_sec > media_limits.MAX_GAP_SEC:
        raise MediaError(
          f"time stamps jump by {gap_sec:.0f} s at {latest_sec - first_sec:.2f} s; expected at "
          f"most {media_limits.MAX_GAP_SEC:.0f} s without video and audio. Cut the file there, or "
          "rewrite it with new time stamps"
        )
      if gap_sec > _SHORT_GAP_SEC:
        gaps_sec += gap_sec
      latest_sec = max(latest_sec, times[0])
  if latest_sec is None:
    return
  whole_sec = latest_sec - first_sec
  if gaps_sec > max(media_limits.MAX_GAP_SEC, whole_sec - gaps_sec):
    raise MediaError(
      f"time stamps with gaps of {gaps_sec:.0f} s in total, out of {whole_sec:.0f} s; expected "
      "less than half. Rewrite the file with new time stamps"
    )
  media_limits.check_duration(whole_sec)

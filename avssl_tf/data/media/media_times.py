"""Whether the time line of a file is filled with what it holds.

A clock that jumps makes a small file last for years: whoever cuts it into clips, or fills its gaps,
never gets to the end.
"""

import os
from collections.abc import Sequence

from avssl_tf import keys
from avssl_tf.data.media import media_limits, media_streams
from avssl_tf.data.media.media_limits import MediaError

# Longer files are few, and walking through them takes far less time than decoding them.
_LONG_SEC = 3600.0
# Files of less than 32 kbit/s are small for their duration: something may be missing.
_FEW_BYTES_PER_SEC = 4000
# Shorter gaps are those between pictures that are held, or packets of sound.
_SHORT_GAP_SEC = 10.0


def are_doubtful(path: str, duration_sec: float) -> bool:
  """Whether `check` is worth its time, which is that of reading the whole file."""
  if duration_sec <= media_limits.MAX_GAP_SEC:
    return False
  return duration_sec > _LONG_SEC or os.path.getsize(path) < _FEW_BYTES_PER_SEC * duration_sec


def check(path: str, modalities: Sequence[str] = keys.MODALITIES) -> None:
  """Walks through the packets of a file, without decoding them.

  A gap is a stretch in which neither pictures nor sound begin, asked for or not: a picture may be
  held for hours while there is sound. Times that go back are no gap.

  Args:
    path: the file.
    modalities: what is asked for.

  Raises:
    MediaError: a gap is longer than `media_limits.MAX_GAP_SEC`, gaps are longer than that and
      than the rest of the file in all, or the file is too long.
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
          f"most {media_limits.MAX_GAP_SEC:.0f} s without picture and sound. Cut the file there, "
          "or write it again with new time stamps"
        )
      if gap_sec > _SHORT_GAP_SEC:
        gaps_sec += gap_sec
      latest_sec = max(latest_sec, times[0])
  if latest_sec is None:
    return
  whole_sec = latest_sec - first_sec
  if gaps_sec > max(media_limits.MAX_GAP_SEC, whole_sec - gaps_sec):
    raise MediaError(
      f"time stamps with gaps of {gaps_sec:.0f} s in all, of {whole_sec:.0f} s; expected less than "
      "half. Write the file again with new time stamps"
    )
  media_limits.check_duration(whole_sec)

"""Times in clip names, in the formats of download scripts for Kinetics, AudioSet and VGG-Sound.

The video id is followed by the start and usually the end of the clip. Times are in seconds, with or
without leading zeros and fractional digits, or in milliseconds:

```
0Ab1cD2eF3g_000040_000050   0Ab1cD2eF3g_40_50   0Ab1cD2eF3g_40.0_50.0   0Ab1cD2eF3g_40000_50000
0Ab1cD2eF3g_000040          0Ab1cD2eF3g_40      0Ab1cD2eF3g_40.0        0Ab1cD2eF3g_40000
```
"""

import math
import re
from typing import Optional

_NUMBER = r"(\d+(?:\.\d+)?)"
_TIMES = re.compile(rf"[_-]{_NUMBER}(?:[_-]{_NUMBER})?")
# Rounding tolerances in seconds, of one decimal place and of milliseconds.
_TENTH, _MILLISECOND = 0.051, 0.0011


def distance(ending: str, span_sec: tuple[float, float]) -> Optional[tuple[bool, float]]:
  """Distance between the times in a name and a span; smaller is better.

  Args:
    ending: the part of the name after the video id, such as "_000040_000050".
    span_sec: start and end.

  Returns:
    Whether the end is missing, and the error in seconds; None if `ending` contains no times, or
    those of another span.
  """
  found = _TIMES.fullmatch(ending)
  if found is None:
    return None
  texts = [text for text in found.groups() if text is not None]
  errors = [
    sum(errors)
    for unit in (_error_of_seconds, _error_of_milliseconds)
    if None not in (errors := [unit(text, time) for text, time in zip(texts, span_sec)])
  ]
  return (len(texts) == 1, min(errors)) if errors else None


def _error_of_seconds(text: str, time_sec: float) -> Optional[float]:
  error = abs(float(text) - time_sec)
  if "." in text:
    return error if error < _TENTH else None
  # Scripts round or truncate.
  return error if int(text) in (math.floor(time_sec), math.ceil(time_sec)) else None


def _error_of_milliseconds(text: str, time_sec: float) -> Optional[float]:
  if "." in text:
    return None
  error = abs(int(text) / 1000 - time_sec)
  return error if error < _MILLISECOND else None

"""Rows of cards with animations and audio."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

from avssl_tf import keys
from avssl_tf.report import page
from avssl_tf.report.clip_media import ClipMedia

# Marks of a card, shown by its colour.
RIGHT, WRONG, OWN = "right", "wrong", "own"


@dataclasses.dataclass(frozen=True)
class Card:
  """A clip, or one modality of it.

  Attributes:
    title: bold text below the image.
    lines: lines of text below the title.
    picture: data URI of the image; None: no image.
    sound: data URI of the audio for a play button; None: no button.
    mark: `RIGHT`, `WRONG` or `OWN`; "": none.
  """

  title: str
  lines: Sequence[str] = ()
  picture: Optional[str] = None
  sound: Optional[str] = None
  mark: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
  """Cards side by side, optionally as the results of a query card."""

  cards: Sequence[Card]
  query: Optional[Card] = None


def html(rows: Sequence[Row], explanation: str) -> str:
  """HTML of the rows below an explanation."""
  return page.fragment("gallery.html", rows=rows, explanation=explanation)


def card(
  media: ClipMedia, lines: Sequence[str] = (), mark: str = "", modality: Optional[str] = None
) -> Card:
  """The card of a clip.

  Args:
    media: media of the clip.
    lines: lines of text about the clip.
    mark: mark of the card.
    modality: modality of the image, `"video"` or `"audio"`; None: video if available, else audio.
  """
  heard = modality == keys.AUDIO or media.animation is None
  return Card(
    title=", ".join(media.labels) or media.key,
    lines=[*lines, media.key] if media.labels else lines,
    picture=media.spectrogram if heard else media.animation,
    sound=media.sound,
    mark=mark,
  )

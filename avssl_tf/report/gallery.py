"""Rows of cards with moving pictures and sound."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

from avssl_tf import keys
from avssl_tf.report import page
from avssl_tf.report.clip_media import ClipMedia

# What the colour of a card says.
RIGHT, WRONG, OWN = "right", "wrong", "own"


@dataclasses.dataclass(frozen=True)
class Card:
  """A clip, or one modality of it.

  Attributes:
    title: in bold below the picture.
    lines: below the title.
    picture: data URI; None shows none.
    sound: data URI of what a button plays; None shows none.
    mark: one of `RIGHT`, `WRONG` and `OWN`; "" for none.
  """

  title: str
  lines: Sequence[str] = ()
  picture: Optional[str] = None
  sound: Optional[str] = None
  mark: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
  """Cards side by side, perhaps as the answer to another one."""

  cards: Sequence[Card]
  query: Optional[Card] = None


def html(rows: Sequence[Row], explanation: str) -> str:
  """The rows one below the other, under an explanation."""
  return page.fragment("gallery.html", rows=rows, explanation=explanation)


def card(
  media: ClipMedia, lines: Sequence[str] = (), mark: str = "", modality: Optional[str] = None
) -> Card:
  """The card of a clip.

  Args:
    media: what there is to see and hear.
    lines: what is told of it.
    mark: its colour.
    modality: `"video"` or `"audio"`, which the picture shows; None: of what there is, the first.
  """
  heard = modality == keys.AUDIO or media.animation is None
  return Card(
    title=", ".join(media.labels) or media.key,
    lines=[*lines, media.key] if media.labels else lines,
    picture=media.spectrogram if heard else media.animation,
    sound=media.sound,
    mark=mark,
  )

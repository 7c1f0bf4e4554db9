"""The result of a source: the clips to build, their classes, and named subsets of them."""

import dataclasses
from collections.abc import Sequence

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.errors import UserError


class ListError(UserError):
  """A list of clips, or the folder of its files, is invalid.

  The message states the file and the row, or the folder and the expected layout.
  """


@dataclasses.dataclass(frozen=True)
class Listing:
  """The clips of a data set.

  Attributes:
    requests: files or spans of files, in a stable order.
    label_names: class names in the order of their index; empty without classes.
    subsets: media ids of named subsets, such as the folds of a cross-validation. Subsets may
      overlap; each is within one split.
    notes: remarks for the user before the build, such as files that are in no list.
  """

  requests: Sequence[ClipRequest]
  label_names: Sequence[str]
  subsets: dict[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  notes: Sequence[str] = ()

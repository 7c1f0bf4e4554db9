"""What a source returns: the clips to be built, their classes, and named selections of them."""

import dataclasses
from collections.abc import Sequence

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.errors import UserError


class ListError(UserError):
  """A list of clips, or the folder that it is about, is not what it should be.

  The message names the file and the row, or the folder and the layout expected.
  """


@dataclasses.dataclass(frozen=True)
class Listing:
  """The clips of a data set.

  Attributes:
    requests: files or spans of files, in a stable order.
    label_names: names of the classes in the order of their index; empty where there are none.
    subsets: media ids of named selections of clips that may overlap, such as the folds of a
      cross-validation; each within one split.
    notes: what is to be told before the build begins, such as files that no list names.
  """

  requests: Sequence[ClipRequest]
  label_names: Sequence[str]
  subsets: dict[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  notes: Sequence[str] = ()

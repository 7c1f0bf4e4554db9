"""Listings of data sets with official folds: each file occurs once, folds are named subsets."""

from collections.abc import Mapping, Sequence
from typing import Optional

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import MediaFiles
from avssl_tf.data.sources.listings.spellings import Spellings

# Split of files that are in the training or the test set depending on the fold.
SPLIT = "all"


def listing_of_folds(
  files: MediaFiles,
  label_of: Mapping[str, Optional[str]],
  label_names: Sequence[str],
  subsets: Mapping[str, Sequence[str]],
) -> Listing:
  """Requests whole files in the split "all", sorted by name.

  Args:
    files: media files of the data set.
    label_of: class of each file, by its name in `files`.
    label_names: classes in the order of their index.
    subsets: file names by name of the subset; "train1" and "test1", ... are the training and test
      sets of a fold.

  Raises:
    ListError: a file is in both sets of a fold, or listed under two names.
  """
  for key, names in subsets.items():
    both = sorted(set(names) & set(subsets.get(key.replace("train", "test"), ())))
    if key.startswith("train") and both:
      raise ListError(
        f"{both[0]!r} and {len(both) - 1} other files are in both the training and the test list "
        f"of a fold: {key} and {key.replace('train', 'test')}."
      )
  spellings = Spellings()
  requests = [
    ClipRequest(
      SPLIT, spellings.find(files.path(name)), None, None, (label,) if label else (), name
    )
    for name, label in sorted(label_of.items())
  ]
  name_of: dict[str, str] = {}
  for request in requests:
    other = name_of.setdefault(request.path, request.media_id)
    if other != request.media_id:
      raise ListError(
        f"{other!r} and {request.media_id!r} are listed but are the same file, {request.path!r}. "
        "Keep one of them."
      )
  names_of = {key: sorted(names) for key, names in subsets.items()}
  return Listing(requests, label_names, names_of, notes=spellings.notes)

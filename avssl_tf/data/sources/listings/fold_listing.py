"""Listings of data sets with official folds: every file once, folds as named subsets."""

from collections.abc import Mapping, Sequence
from typing import Optional

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import MediaFiles
from avssl_tf.data.sources.listings.spellings import Spellings

# Of files that belong to a different side in each fold.
SPLIT = "all"


def listing_of_folds(
  files: MediaFiles,
  label_of: Mapping[str, Optional[str]],
  label_names: Sequence[str],
  subsets: Mapping[str, Sequence[str]],
) -> Listing:
  """Asks for whole files in the split "all", sorted by name.

  Args:
    files: where names belong.
    label_of: class of each file by its name in `files`.
    label_names: classes in the order of their index.
    subsets: names of files by name of the subset; "train1" and "test1", ... are the two sides of
      a fold.

  Raises:
    ListError: a file is on both sides of a fold, or listed under two names.
  """
  for key, names in subsets.items():
    both = sorted(set(names) & set(subsets.get(key.replace("train", "test"), ())))
    if key.startswith("train") and both:
      raise ListError(
        f"{both[0]!r} and {len(both) - 1} other files are in both lists of a fold, for training "
        f"and for testing: {key} and {key.replace('train', 'test')}."
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
        f"{other!r} and {request.media_id!r} are listed, and are one file, {request.path!r}. Keep "
        "one of them."
      )
  names_of = {key: sorted(names) for key, names in subsets.items()}
  return Listing(requests, label_names, names_of, notes=spellings.notes)

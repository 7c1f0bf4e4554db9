"""Holds out part of a data set without splits for testing."""

import dataclasses
import os
import zlib
from collections.abc import Sequence

from avssl_tf.data.sources.listings.clip_request import DEFAULT_SPLIT, ClipRequest
from avssl_tf.errors import UserError

TEST_SPLIT = "test"


def hold_out(requests: Sequence[ClipRequest], fraction: float) -> list[ClipRequest]:
  """Moves a share of the files of each class to the test split.

  Whole files are moved: no video is in both splits. The choice depends only on the file names. The
  same files give the same split on every machine, and an additional file affects few of the others.

  Args:
    requests: requests of a source.
    fraction: share to move of the files of each first label, or of all files without labels; at
      least one file of a label with two or more. 0 moves nothing.

  Returns:
    The requests in their order; unchanged if the source has a split other than "train".

  Raises:
    UserError: `fraction` is not 0 or more and below 1.
  """
  if not 0 <= fraction < 1:
    raise UserError(f"The share of test files is {fraction}; expected 0 or more and below 1.")
  if fraction == 0 or any(request.split != DEFAULT_SPLIT for request in requests):
    return list(requests)
  labels_of = {request.media_id: request.labels[:1] for request in requests}
  files_of = {}
  for media_id in sorted(labels_of, key=lambda m: (zlib.crc32(os.fsencode(m)), m)):
    files_of.setdefault(labels_of[media_id], []).append(media_id)
  held_out = {
    media_id
    for files in files_of.values()
    if len(files) > 1
    for media_id in files[: max(1, round(fraction * len(files)))]
  }
  return [
    dataclasses.replace(request, split=TEST_SPLIT) if request.media_id in held_out else request
    for request in requests
  ]

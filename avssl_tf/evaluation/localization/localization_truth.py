"""Where clips sound in truth: boxes that records hold, or annotations beside them."""

import dataclasses
import os
from typing import Optional

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.evaluation.localization import box_annotations
from avssl_tf.evaluation.localization.box_annotations import BoxTruth


@dataclasses.dataclass(frozen=True)
class Truths:
  """The boxes of what sounds in each clip of a data set.

  Attributes:
    path: of the annotations; None where records hold the boxes.
    annotated: annotations by name; None as `path`.
    middle_frame: whether the boxes of records are those of the middle frame alone.
  """

  path: Optional[str]
  annotated: Optional[dict[str, BoxTruth]]
  middle_frame: bool

  @classmethod
  def read(
    cls, path: Optional[str], file_format: str, test_list: Optional[str], middle_frame: bool
  ) -> "Truths":
    """Reads annotations.

    Args:
      path: file or folder with boxes, as in `box_annotations.read`; None takes those of records.
      file_format: one of `box_annotations.FORMATS`.
      test_list: file with the names of the annotated clips to measure; None measures all.
      middle_frame: see the attribute.

    Raises:
      UserError: a file is not of its format, or a listed clip is not annotated.
    """
    if path is None:
      return cls(None, None, middle_frame)
    found = box_annotations.read(path, file_format)
    if test_list is None:
      return cls(path, found, middle_frame)
    names = box_annotations.read_names(test_list)
    unknown = [name for name in names if name not in found]
    if unknown:
      raise UserError(
        f"{len(unknown)} of the {len(names)} clips of {test_list} are not annotated in {path}, "
        f"the first is {unknown[0]!r}."
      )
    return cls(path, {name: found[name] for name in names}, middle_frame)

  def of(self, batch: keys.Batch, number: int) -> Optional[BoxTruth]:
    """The boxes of a clip of a batch; None where nothing is known."""
    if self.annotated is None:
      boxes = batch[keys.BOXES][number].numpy()
      if self.middle_frame:
        boxes = boxes[len(boxes) // 2 :][:1]
      return BoxTruth(boxes, consensus=float(len(boxes)))
    truth = self.annotated.get(box_annotations.name_of(key_of(batch, number)))
    return truth if truth is not None and truth.is_known else None

  def why_unknown(self) -> str:
    """Why nothing is known of any clip, and what to do."""
    if self.annotated is None:
      return (
        "the records hold no boxes of it, or those outside of all frames. Name annotations: "
        "Localization.annotations, and whole_picture = True."
      )
    return (
      f"none of the {len(self.annotated)} names in {self.path}, such as "
      f"{next(iter(self.annotated))!r}, is the name of one of its files."
    )


def key_of(batch: keys.Batch, number: int) -> str:
  """Id of a clip of a batch."""
  return os.fsdecode(batch[keys.KEY][number].numpy())

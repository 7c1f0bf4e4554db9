"""Ground truth of sound sources: boxes in the records or separate annotations."""

import dataclasses
import os
from typing import Optional

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.evaluation.localization import box_annotations
from avssl_tf.evaluation.localization.box_annotations import BoxTruth


@dataclasses.dataclass(frozen=True)
class Truths:
  """Boxes of the sound sources in each clip of a data set.

  Attributes:
    path: path of the annotations; None if the records contain the boxes.
    annotated: annotations by name; None if the records contain the boxes.
    middle_frame: whether to use only the box of the middle frame from records.
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
      path: file or folder with boxes, see `box_annotations.read`; None uses those of the records.
      file_format: one of `box_annotations.FORMATS`.
      test_list: file with the names of annotated clips to evaluate; None evaluates all.
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
        f"such as {unknown[0]!r}."
      )
    return cls(path, {name: found[name] for name in names}, middle_frame)

  def of(self, batch: keys.Batch, number: int) -> Optional[BoxTruth]:
    """The boxes of a clip of a batch; None without ground truth."""
    if self.annotated is None:
      boxes = batch[keys.BOXES][number].numpy()
      if self.middle_frame:
        boxes = boxes[len(boxes) // 2 :][:1]
      return BoxTruth(boxes, consensus=float(len(boxes)))
    truth = self.annotated.get(box_annotations.name_of(key_of(batch, number)))
    return truth if truth is not None and truth.is_known else None

  def why_unknown(self) -> str:
    """Reason for missing ground truth of all clips, and a remedy."""
    if self.annotated is None:
      return (
        "the records contain no boxes, or only boxes outside of the frames. Set "
        "Localization.annotations, and Localization.whole_picture = True."
      )
    return (
      f"none of the {len(self.annotated)} names in {self.path}, such as "
      f"{next(iter(self.annotated))!r}, matches a file of the records."
    )


def key_of(batch: keys.Batch, number: int) -> str:
  """Id of a clip of a batch."""
  return os.fsdecode(batch[keys.KEY][number].numpy())

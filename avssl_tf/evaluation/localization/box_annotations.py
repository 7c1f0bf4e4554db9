"""Bounding boxes of sound sources: the annotations of Flickr-SoundNet and VGG-SS."""

import csv
import dataclasses
import os
from xml.etree import ElementTree

import numpy as np
from absl import logging

from avssl_tf import own_files, text_files
from avssl_tf.errors import UserError
from avssl_tf.files import read_json
from avssl_tf.local_paths import composed

FLICKR_SOUNDNET, VGGSS = "flickr_soundnet", "vggss"
FORMATS = (FLICKR_SOUNDNET, VGGSS)
# Height and width of the images shown to the annotators of Flickr-SoundNet, and the number of boxes
# that must contain a pixel for it to count fully.
_FLICKR_SIZE = 256
_FLICKR_CONSENSUS = 2.0
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclasses.dataclass(frozen=True)
class BoxTruth:
  """Ground truth of the sound sources in an image.

  Attributes:
    boxes: float32 `[N, 4]`, ymin, xmin, ymax, xmax in 0..1; `[0, 4]` without boxes.
    consensus: number of boxes that must contain a pixel for it to count fully.
    is_known: whether the ground truth is valid; False if all annotated boxes are outside the image.
  """

  boxes: np.ndarray
  consensus: float = 1.0
  is_known: bool = True

  def map(self, height: int, width: int) -> np.ndarray:
    """Ground truth of each pixel.

    Returns:
      float32 `[height, width]`: min(number of boxes that contain the pixel / consensus, 1). Box
      edges are rounded to pixel boundaries.
    """
    counts = np.zeros([height, width], np.float32)
    edges = np.round(self.boxes * [height, width, height, width]).astype(int)
    for ymin, xmin, ymax, xmax in edges:
      counts[ymin:ymax, xmin:xmax] += 1.0
    return np.minimum(counts / self.consensus, 1.0)


def read(path: str, annotation_format: str) -> dict[str, BoxTruth]:
  """Reads annotations.

  Args:
    path: folder of the XML files of Flickr-SoundNet, or the file `vggss.json` of VGG-SS.
    annotation_format: one of `FORMATS`.

  Returns:
    The ground truth by name of the annotated file, as in `name_of`. Boxes entirely outside the
    image are skipped with a warning.

  Raises:
    UserError: an unknown format, or annotations that do not conform to it; the message names the
      file.
    OSError: a file cannot be read.
  """
  if annotation_format not in FORMATS:
    raise UserError(
      f"annotation_format is {annotation_format!r}; expected one of {', '.join(FORMATS)}."
    )
  found = (read_flickr_soundnet if annotation_format == FLICKR_SOUNDNET else read_vggss)(path)
  return _within_pictures(path, found)


def _within_pictures(path: str, found: dict[str, BoxTruth]) -> dict[str, BoxTruth]:
  """Removes boxes without area inside the image and logs their number."""
  kept, num_left_out = {}, 0
  for name, truth in found.items():
    ymin, xmin, ymax, xmax = truth.boxes.T
    inside = (ymax > ymin) & (xmax > xmin)
    num_left_out += int((~inside).sum())
    is_known = bool(inside.any()) or not len(inside)
    kept[name] = dataclasses.replace(truth, boxes=truth.boxes[inside], is_known=is_known)
  if num_left_out:
    lost = sorted(name for name, truth in kept.items() if not truth.is_known)
    logging.warning(
      "%s: %d boxes have no area inside the image and are skipped.%s",
      path,
      num_left_out,
      f" {len(lost)} files have no other boxes and are not evaluated: {own_files.listed(lost)}."
      if lost
      else "",
    )
  return kept


def read_flickr_soundnet(folder: str) -> dict[str, BoxTruth]:
  """Reads a folder of XML files of Flickr-SoundNet; like `read`, but keeps all boxes.

  Senocak et al., CVPR 2018: one file per image, with one element per annotator, which contains
  elements `bbox` with `xmin`, `ymin`, `xmax` and `ymax` in pixels of a 256 x 256 image. A pixel
  counts fully if two boxes contain it, and half if one does.
  """
  if not os.path.isdir(folder):
    raise UserError(f"{folder!r} is not a folder; expected that of Flickr-SoundNet's XML files.")
  names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".xml"))
  if not names:
    raise UserError(
      f"{folder!r} contains no XML files; expected the annotations of Flickr-SoundNet."
    )
  found, path_of = {}, {}
  for name in names:
    path = os.path.join(folder, name)
    key = name_of(os.path.splitext(name)[0])
    if key in path_of:
      raise UserError(
        f"{path} and {path_of[key]} annotate the same image, {key!r}, whose annotators would count "
        "twice. Keep one of the files."
      )
    path_of[key] = path
    try:
      boxes = [_flickr_box(box) for box in ElementTree.parse(path).getroot().iter("bbox")]
    except (ElementTree.ParseError, ValueError) as error:
      raise UserError(
        f"{path} is not an annotation of Flickr-SoundNet ({error}); expected XML with elements "
        f"bbox, each with {', '.join(_SIDES)} in pixels."
      ) from error
    found[key] = BoxTruth(_ordered(boxes), _FLICKR_CONSENSUS)
  return found


def read_vggss(path: str) -> dict[str, BoxTruth]:
  """Reads `vggss.json`; like `read`, but keeps all boxes.

  Chen et al., "Localizing Visual Sounds the Hard Way", CVPR 2021: a list of objects with `file`,
  `class` and `bbox`, a list of boxes [xmin, ymin, xmax, ymax] as fractions of the width and height
  of the image, which may exceed its edges. The ground truth is the union of the boxes of all
  entries of a file.
  """
  found, num_repeated = {}, 0
  try:
    for entry in read_json(path, list):
      name, boxes = name_of(str(entry["file"])), entry["bbox"]
      truth = _ordered([[float(side) for side in box] for box in boxes])
      if name in found:
        num_repeated += 1
        truth = np.unique(np.concatenate([found[name].boxes, truth]), axis=0)
      found[name] = BoxTruth(truth)
  except (KeyError, TypeError, ValueError) as error:
    raise UserError(
      f"{path} does not contain annotations of VGG-SS ({error!r} after {len(found)} entries); "
      'expected a list of {"file": ..., "class": ..., "bbox": [[xmin, ymin, xmax, ymax], ...]}.'
    ) from error
  if not found:
    raise UserError(f"{path} contains no annotations; expected those of VGG-SS.")
  if num_repeated:
    logging.warning(
      "%s: %d entries repeat a file: the boxes of its entries are combined.",
      path,
      num_repeated,
    )
  return found


def read_names(path: str) -> list[str]:
  """Names of files, as in `name_of`, from the first column of a CSV or text file.

  This is the format of published test lists (`flickr_test.csv`, `vggss_test.csv`).
  """
  rows = csv.reader(text_files.read(path).split("\n"))
  return [name_of(row[0].strip()) for row in rows if row and row[0].strip()]


def name_of(example_id: str) -> str:
  """Name of a clip in annotations: its file name without extension, in composed Unicode form.

  Examples:
    >>> name_of("test/dog/-0jbRf0bwJU_000045.mp4@0.000"), name_of("2321863.jpg"), name_of("2321863")
    ('-0jbRf0bwJU_000045', '2321863', '2321863')
  """
  path, _, start = example_id.rpartition("@")
  name = composed(os.path.basename(path if path and _is_number(start) else example_id))
  stem, ending = os.path.splitext(name)
  return stem if 2 <= len(ending) <= 5 and not _is_number(ending[1:]) else name


def _is_number(text: str) -> bool:
  return text.replace(".", "", 1).isdigit()


def _flickr_box(box: ElementTree.Element) -> list[float]:
  by_name = {child.tag.lower(): child.text for child in box}
  missing = [side for side in _SIDES if side not in by_name]
  if missing:
    raise UserError(f"a bbox has no {missing[0]}")
  return [float(by_name[side] or "") / _FLICKR_SIZE for side in _SIDES]


def _ordered(boxes: list[list[float]]) -> np.ndarray:
  """xmin, ymin, xmax, ymax -> float32 `[N, 4]` ymin, xmin, ymax, xmax, clipped to the image."""
  for box in boxes:
    if len(box) != len(_SIDES):
      raise UserError(f"a box has {len(box)} sides")
  array = np.array(boxes, np.float32).reshape(-1, len(_SIDES))
  if not np.isfinite(array).all():
    raise UserError("a box has sides that are not finite")
  return np.clip(array[:, [1, 0, 3, 2]], 0.0, 1.0)

"""Boxes that people drew around what sounds: the annotations of Flickr-SoundNet and of VGG-SS."""

import csv
import dataclasses
import os
from xml.etree import ElementTree

import numpy as np

from avssl_tf.files import read_json

FLICKR_SOUNDNET, VGGSS = "flickr_soundnet", "vggss"
FORMATS = (FLICKR_SOUNDNET, VGGSS)
# Annotators of Flickr-SoundNet were shown pictures of this many pixels a side, and so many of their
# boxes have to agree on a pixel for it to count in full.
_FLICKR_SIZE = 256
_FLICKR_CONSENSUS = 2.0
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclasses.dataclass(frozen=True)
class BoxTruth:
  """Where something sounds in a picture.

  Attributes:
    boxes: float32 `[N, 4]`, ymin, xmin, ymax, xmax in 0..1; of none, `[0, 4]`.
    consensus: number of boxes that have to hold a pixel for it to count in full.
  """

  boxes: np.ndarray
  consensus: float = 1.0

  def map(self, height: int, width: int) -> np.ndarray:
    """The truth at each pixel.

    Returns:
      float32 `[height, width]`: min(number of boxes that hold the pixel / consensus, 1). Edges of
      boxes lie between pixels, where they are nearest.
    """
    counts = np.zeros([height, width], np.float32)
    edges = np.round(self.boxes * [height, width, height, width]).astype(int)
    for ymin, xmin, ymax, xmax in edges:
      counts[ymin:ymax, xmin:xmax] += 1.0
    return np.minimum(counts / self.consensus, 1.0)


def read(path: str, annotation_format: str) -> dict[str, BoxTruth]:
  """Reads annotations.

  Args:
    path: of Flickr-SoundNet the folder of the XML files, of VGG-SS the file `vggss.json`.
    annotation_format: one of `FORMATS`.

  Returns:
    The truth by the name of the file that is annotated, without folder and ending.

  Raises:
    ValueError: an unknown format, or what is read is not of it; the message names the file.
    OSError: it cannot be read.
  """
  if annotation_format not in FORMATS:
    raise ValueError(
      f"annotation_format is {annotation_format!r}; expected one of {', '.join(FORMATS)}."
    )
  return (read_flickr_soundnet if annotation_format == FLICKR_SOUNDNET else read_vggss)(path)


def read_flickr_soundnet(folder: str) -> dict[str, BoxTruth]:
  """Reads a folder of XML files of Flickr-SoundNet; as `read`.

  Senocak et al., CVPR 2018: a file for each picture, with an element for each annotator, in which
  are elements `bbox` with `xmin`, `ymin`, `xmax` and `ymax` in pixels of 256 x 256. Pixels count in
  full where two boxes agree, by half where one is alone.
  """
  if not os.path.isdir(folder):
    raise ValueError(f"{folder!r} is no folder; expected that of Flickr-SoundNet's XML files.")
  names = sorted(name for name in os.listdir(folder) if name.lower().endswith(".xml"))
  if not names:
    raise ValueError(f"{folder!r} holds no XML files; expected the annotations of Flickr-SoundNet.")
  found = {}
  for name in names:
    path = os.path.join(folder, name)
    try:
      boxes = [_flickr_box(box) for box in ElementTree.parse(path).getroot().iter("bbox")]
    except (ElementTree.ParseError, ValueError) as error:
      raise ValueError(
        f"{path} is no annotation of Flickr-SoundNet ({error}); expected XML with elements bbox, "
        f"each with {', '.join(_SIDES)} in pixels."
      ) from error
    found[os.path.splitext(name)[0]] = BoxTruth(_ordered(boxes), _FLICKR_CONSENSUS)
  return found


def read_vggss(path: str) -> dict[str, BoxTruth]:
  """Reads `vggss.json`; as `read`.

  Chen et al., "Localizing Visual Sounds the Hard Way", CVPR 2021: a list of objects with `file`,
  `class` and `bbox`, a list of boxes [xmin, ymin, xmax, ymax] as shares of the picture's sides,
  which may reach beyond its edges. The truth is the union of the boxes.
  """
  found = {}
  try:
    for entry in read_json(path, list):
      name, boxes = str(entry["file"]), entry["bbox"]
      found[name] = BoxTruth(_ordered([[float(side) for side in box] for box in boxes]))
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f"{path} does not hold the annotations of VGG-SS ({error!r} after {len(found)} entries); "
      'expected a list of {"file": ..., "class": ..., "bbox": [[xmin, ymin, xmax, ymax], ...]}.'
    ) from error
  if not found:
    raise ValueError(f"{path} holds no annotations; expected those of VGG-SS.")
  return found


def read_names(path: str) -> list[str]:
  """Names of files, without their ending, from the first column of a CSV or text file.

  Test lists are published like this (`flickr_test.csv`, `vggss_test.csv`).
  """
  with open(path, encoding="utf-8", newline="") as f:
    return [name_of(row[0].strip()) for row in csv.reader(f) if row and row[0].strip()]


def name_of(example_id: str) -> str:
  """What a clip is called in annotations: its file without folder and ending.

  >>> name_of("test/dog/-0jbRf0bwJU_000045.mp4@0.000"), name_of("2321863.jpg"), name_of("2321863")
  ('-0jbRf0bwJU_000045', '2321863', '2321863')
  """
  path, _, start = example_id.rpartition("@")
  name = os.path.basename(path if path and _is_number(start) else example_id)
  stem, ending = os.path.splitext(name)
  return stem if 2 <= len(ending) <= 5 and not _is_number(ending[1:]) else name


def _is_number(text: str) -> bool:
  return text.replace(".", "", 1).isdigit()


def _flickr_box(box: ElementTree.Element) -> list[float]:
  by_name = {child.tag.lower(): child.text for child in box}
  missing = [side for side in _SIDES if side not in by_name]
  if missing:
    raise ValueError(f"a bbox has no {missing[0]}")
  return [float(by_name[side] or "") / _FLICKR_SIZE for side in _SIDES]


def _ordered(boxes: list[list[float]]) -> np.ndarray:
  """xmin, ymin, xmax, ymax -> float32 `[N, 4]` ymin, xmin, ymax, xmax within the picture."""
  for box in boxes:
    if len(box) != len(_SIDES):
      raise ValueError(f"a box has {len(box)} sides")
  array = np.array(boxes, np.float32).reshape(-1, len(_SIDES))
  if not np.isfinite(array).all():
    raise ValueError("a box has sides that are not finite")
  return np.clip(array[:, [1, 0, 3, 2]], 0.0, 1.0)

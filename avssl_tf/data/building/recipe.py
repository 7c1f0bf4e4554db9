"""All that decides what a data set of records holds."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from avssl_tf import keys
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.clip_content import Reader
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.errors import UserError
from avssl_tf.spectrograms import Spectrogram

# Of readers: builds of versions that did not know them resume where they have their defaults.
_LATER_SETTINGS = frozenset({"audio_track", "stereo_mode"})


@dataclasses.dataclass(frozen=True)
class Recipe:
  """All that decides what a data set holds.

  Attributes:
    name: name of the data set.
    requests: the files or parts of files asked for, in order.
    label_names: names of the classes in order of their index.
    reader: gets the content of clips.
    cutting: how long clips are.
    jpeg: how frames are compressed.
    num_shards: number of record files of a split, if it has as many clips.
    spectrogram: measured on the training split; `None` measures nothing.
    modalities: what clips must have and records hold: "video", "audio", or both.
    subsets: media ids of named selections of clips, which may overlap, each within one split.
    origin: where it comes from, in words and numbers: goes into `dataset_info.json`.
    flow: of 360° clips, whether the optical flow of the frames is made and stored as well.
    shuffle: whether records are in a random order, so that a slice of a split is a sample of it,
      rather than in that of the requests. The order follows from the ids of the clips.
  """

  name: str
  requests: Sequence[ClipRequest]
  label_names: Sequence[str]
  reader: Reader
  cutting: Cutting = Cutting()
  jpeg: JpegSettings = JpegSettings()
  num_shards: int = 16
  spectrogram: Optional[Spectrogram] = None
  modalities: Sequence[str] = keys.MODALITIES
  subsets: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  origin: dict[str, Any] = dataclasses.field(default_factory=dict)
  flow: bool = False
  shuffle: bool = False

  def __post_init__(self):
    if not self.modalities or not set(self.modalities) <= set(keys.MODALITIES):
      raise UserError(
        f"Recipe.modalities is {list(self.modalities)}; expected one or both of "
        f"{list(keys.MODALITIES)}."
      )
    if self.flow and (self.reader.projection is None or keys.VIDEO not in self.modalities):
      raise UserError(
        "Recipe.flow asks for optical flow, which is made of the pictures of 360° clips alone: "
        "leave it out."
      )

  def settings(self) -> dict[str, Any]:
    """All that the records depend on, as plain values; the requests as a fingerprint.

    Subsets are missing: they change `dataset_info.json` alone, and cost nothing to change.
    """
    requests = "\n".join(repr(dataclasses.astuple(request)) for request in self.requests)
    settings = {
      "name": self.name,
      "label_names": list(self.label_names),
      "reader": {"kind": type(self.reader).__name__, **_reader_settings(self.reader)},
      "cutting": dataclasses.asdict(self.cutting),
      "jpeg": dataclasses.asdict(self.jpeg),
      "num_shards": self.num_shards,
      "spectrogram": self.spectrogram and self.spectrogram.id,
      "modalities": [name for name in keys.MODALITIES if name in self.modalities],
      "num_requests": len(self.requests),
      "requests_sha256": hashlib.sha256(requests.encode("utf-8", "surrogateescape")).hexdigest(),
    }
    # Absent where they are off: builds of versions that did not know them resume.
    return {**settings, **{name: True for name in ("flow", "shuffle") if getattr(self, name)}}


def _reader_settings(reader: Reader) -> dict[str, Any]:
  """Attributes of a reader; those of `_LATER_SETTINGS` only where they are not the default."""
  defaults = {field.name: field.default for field in dataclasses.fields(reader)}
  return {
    name: value
    for name, value in dataclasses.asdict(reader).items()
    if name not in _LATER_SETTINGS or value != defaults[name]
  }

"""Recipe: all settings that determine the contents of a data set."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from avssl_tf import keys
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.clip_content import Reader
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.errors import UserError
from avssl_tf.spectrograms import Spectrogram

# Newer settings of readers. Builds of earlier versions can resume if these have their defaults.
_LATER_SETTINGS = frozenset({"audio_track", "stereo_mode"})


@dataclasses.dataclass(frozen=True)
class Recipe:
  """All settings that determine the contents of a data set.

  Attributes:
    name: name of the data set.
    requests: requested files or parts of files, in order.
    label_names: class names in the order of their indices.
    reader: reads the content of clips.
    cutting: duration of clips.
    jpeg: compression of the frames.
    num_shards: number of record files per split, or more because of `max_shard_clips`; a split with
      fewer clips has one per clip.
    spectrogram: spectrogram whose statistics are measured on the training split; `None` disables
      this.
    modalities: modalities that clips must have and records contain: "video", "audio", or both.
    subsets: media ids of named selections of clips, which may overlap; each is within one split.
    origin: source of the data as plain values, stored in `dataset_info.json`.
    flow: for 360° clips, whether to compute and store the optical flow of the frames.
    shuffle: whether to store records in random order, so that a slice of a split is a random
      sample, instead of in the order of the requests. The order is a function of the clip ids.
    max_shard_clips: maximum number of clips of a record file; None: no limit. A build that is
      stopped repeats the files that were not finished.
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
  max_shard_clips: Optional[int] = None

  def __post_init__(self):
    if not self.modalities or not set(self.modalities) <= set(keys.MODALITIES):
      raise UserError(
        f"Recipe.modalities is {list(self.modalities)}; expected one or both of "
        f"{list(keys.MODALITIES)}."
      )
    if self.flow and (self.reader.projection is None or keys.VIDEO not in self.modalities):
      raise UserError(
        "Recipe.flow requires the frames of 360° clips: unset it for ordinary or audio-only data."
      )

  def one_file_per_folder(self) -> list[str]:
    """One requested file of each folder; empty if nothing is read from files."""
    if not self.reader.needs_probe:
      return []
    return list({os.path.dirname(request.path): request.path for request in self.requests}.values())

  def settings(self) -> dict[str, Any]:
    """All settings that the records depend on, as plain values; the requests as a fingerprint.

    Subsets are excluded: they change only `dataset_info.json`, so changing them is cheap.
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
    # Omitted if off, so that builds of earlier versions can resume.
    later = ("flow", "shuffle", "max_shard_clips")
    return {**settings, **{name: getattr(self, name) for name in later if getattr(self, name)}}


def _reader_settings(reader: Reader) -> dict[str, Any]:
  """Attributes of a reader; those in `_LATER_SETTINGS` only if not the default."""
  defaults = {field.name: field.default for field in dataclasses.fields(reader)}
  return {
    name: value
    for name, value in dataclasses.asdict(reader).items()
    if name not in _LATER_SETTINGS or value != defaults[name]
  }

"""Sources of media files: their settings, modalities and clip durations."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Callable, Optional, Union

from avssl_tf import keys
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.sources.audioset import clips_of_audioset
from avssl_tf.data.sources.dcase import clips_of_dcase
from avssl_tf.data.sources.esc50 import clips_of_esc50
from avssl_tf.data.sources.folder import clips_of_folder
from avssl_tf.data.sources.hmdb51 import clips_of_hmdb51
from avssl_tf.data.sources.kinetics import clips_of_kinetics
from avssl_tf.data.sources.listings.listing import Listing
from avssl_tf.data.sources.manifest import clips_of_manifest
from avssl_tf.data.sources.spatial_audio_sets import clips_of_spatial_audio_set
from avssl_tf.data.sources.ucf101 import clips_of_ucf101
from avssl_tf.data.sources.yt360 import clips_of_yt360

# Evaluation protocols count files, so each file is one record, regardless of its duration. The
# longest file of these data sets lasts 71 s.
WHOLE_FILES = Cutting(clip_duration_sec=600.0, min_duration_sec=0.1)

_OF_ALL = frozenset({"input_dir"})
_OF_LISTS = frozenset({"input_csv"})
_OF_VIDEOS_OF_OTHERS = frozenset({"input_csv", "trimmed"})
_OF_NO_SPLITS = frozenset({"test_fraction"})
_OF_360 = frozenset({"projection", "channel_order", "flow"})
_OF_CUTTING = frozenset({"clip_duration_sec", "min_duration_sec"})
_OF_MODALITY = {
  keys.VIDEO: frozenset({"frame_rate_hz", "short_side", "jpeg_quality", "stereo_mode"}),
  keys.AUDIO: frozenset({"sample_rate_hz", "num_channels", "audio_track"}),
}


@dataclasses.dataclass(frozen=True)
class Inputs:
  """Input of a source.

  Attributes:
    input_dir: folder of the media.
    list_paths: lists of clips; if empty, the source finds them itself.
    trimmed: whether files named by a video id alone are clips rather than whole videos.
  """

  input_dir: Optional[str]
  list_paths: Sequence[str] = ()
  trimmed: bool = False


@dataclasses.dataclass(frozen=True)
class MediaSource:
  """One kind of input.

  Attributes:
    list_clips: lists the clips of `Inputs`.
    own_settings: names of settings that apply to this source, in addition to those that follow from
      the other attributes.
    modalities: modalities that clips must have and records contain.
    cutting: how files are cut into clips; None if it is configurable.
    task: evaluation that the data set is made for; None for training data.
    scale: file of `gin/scale` to train with, or of `gin/evaluate/scale` to evaluate with.
    is_360: whether it is always 360° video with ambisonics.
    method: file of `gin` to train with.
    defaults: defaults of settings that differ for this source, by name.
  """

  list_clips: Callable[[Inputs], Listing]
  own_settings: frozenset[str] = frozenset()
  modalities: Sequence[str] = keys.MODALITIES
  cutting: Optional[Cutting] = None
  task: Optional[str] = None
  scale: str = "small"
  is_360: bool = False
  method: str = "avid"
  defaults: Mapping[str, Union[int, float]] = dataclasses.field(default_factory=dict)

  @property
  def settings(self) -> frozenset[str]:
    """Names of all settings that apply to this source."""
    of_modalities = frozenset().union(*(_OF_MODALITY[name] for name in self.modalities))
    of_cutting = _OF_CUTTING if self.cutting is None else frozenset()
    return _OF_ALL | self.own_settings | of_modalities | of_cutting


def _spatial_audio(name: str) -> MediaSource:
  """A data set for spatial audio generation, at the rates and sizes of the paper."""
  return MediaSource(
    lambda inputs: clips_of_spatial_audio_set(inputs.input_dir, name),
    _OF_360,
    scale=name.lower().replace("-", "_"),
    is_360=True,
    method="spatial_audio",
    defaults={"frame_rate_hz": 10.0, "short_side": 224, "sample_rate_hz": 48000},
  )


SOURCES = {
  "folder": MediaSource(
    lambda inputs: clips_of_folder(inputs.input_dir), _OF_NO_SPLITS | _OF_360
  ),
  "csv": MediaSource(
    lambda inputs: clips_of_manifest(inputs.list_paths[0], inputs.input_dir),
    _OF_LISTS | _OF_NO_SPLITS | _OF_360,
  ),
  "kinetics": MediaSource(
    lambda inputs: clips_of_kinetics(inputs.input_dir, inputs.list_paths, inputs.trimmed),
    _OF_VIDEOS_OF_OTHERS, scale="kinetics400",
  ),
  "audioset": MediaSource(
    lambda inputs: clips_of_audioset(inputs.input_dir, inputs.list_paths, inputs.trimmed),
    _OF_VIDEOS_OF_OTHERS, scale="audioset",
  ),
  "yt360": MediaSource(
    lambda inputs: clips_of_yt360(inputs.input_dir), _OF_360, scale="yt360", is_360=True,
    method="avsa",
  ),
  "rec_street": _spatial_audio("REC-Street"),
  "yt_clean": _spatial_audio("YT-Clean"),
  "yt_music": _spatial_audio("YT-Music"),
  "yt_all": _spatial_audio("YT-All"),
  # Half of the videos of UCF-101 and HMDB-51 have no audio.
  "ucf101": MediaSource(
    lambda inputs: clips_of_ucf101(inputs.input_dir),
    modalities=(keys.VIDEO,), cutting=WHOLE_FILES, task="finetune", scale="ucf101",
  ),
  "hmdb51": MediaSource(
    lambda inputs: clips_of_hmdb51(inputs.input_dir),
    modalities=(keys.VIDEO,), cutting=WHOLE_FILES, task="finetune", scale="hmdb51",
  ),
  "esc50": MediaSource(
    lambda inputs: clips_of_esc50(inputs.input_dir),
    modalities=(keys.AUDIO,), cutting=WHOLE_FILES, task="audio_svm", scale="esc50",
  ),
  "dcase": MediaSource(
    lambda inputs: clips_of_dcase(inputs.input_dir),
    modalities=(keys.AUDIO,), cutting=WHOLE_FILES, task="audio_svm", scale="dcase",
  ),
}  # fmt: skip

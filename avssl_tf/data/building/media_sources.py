"""Sources of media files: what each takes, what its records hold, and how long they are."""

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

# Protocols of evaluation count files: one record each, whatever their length. The longest file of
# these data sets lasts 71 s.
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
  """Where a source is to look.

  Attributes:
    input_dir: folder of the media.
    list_paths: lists of clips, where they are not to be looked for.
    trimmed: whether files named by the id of a video alone are clips.
  """

  input_dir: Optional[str]
  list_paths: Sequence[str] = ()
  trimmed: bool = False


@dataclasses.dataclass(frozen=True)
class MediaSource:
  """One kind of input.

  Attributes:
    list_clips: lists the clips of `Inputs`.
    own_settings: names of settings that mean something for this source, beside those that follow
      from the other attributes.
    modalities: what clips must have and records hold.
    cutting: how files are cut into clips; None where it can be chosen.
    task: the evaluation that it is made for; None where training is what it is for.
    scale: the file of `gin/scale` to train with, or of `gin/evaluate/scale` to evaluate with.
    is_360: whether it is 360° video with ambisonics, whatever else is said.
    method: the file of `gin` to train with.
    defaults: settings, by name, whose default is another one for this source.
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
    """Names of all settings that mean something for this source."""
    of_modalities = frozenset().union(*(_OF_MODALITY[name] for name in self.modalities))
    of_cutting = _OF_CUTTING if self.cutting is None else frozenset()
    return _OF_ALL | self.own_settings | of_modalities | of_cutting


def _spatial_audio(name: str) -> MediaSource:
  """One of the data sets of spatial audio generation, at the rates and sizes of the paper."""
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
  # Half of the videos of UCF-101 and HMDB-51 have no sound.
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

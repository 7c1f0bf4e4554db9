"""Flags of `make_tfrecords` that specify a data set, and the resulting recipe."""

import dataclasses
import os
from typing import Optional

import gin
from absl import flags

from avssl_tf import keys, local_paths
from avssl_tf.data.building import demo
from avssl_tf.data.building.media_sources import SOURCES, Inputs, MediaSource
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.building.readers import MediaReader
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.building.spherical_reader import SphericalReader
from avssl_tf.data.clip_content import EQUIRECTANGULAR
from avssl_tf.data.media import picture_view
from avssl_tf.data.media.picture_view import AUTO, STEREO_MODES
from avssl_tf.data.media.sound_field import CHANNEL_ORDERS
from avssl_tf.data.metadata.spherical_metadata import EQUI_ANGULAR_CUBEMAP
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.sources.listings import holdout
from avssl_tf.data.synthetic.planar import PlanarWorld
from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.engines import engine_choice
from avssl_tf.errors import UserError
from avssl_tf.foreign_text import printable
from avssl_tf.spectrograms import Spectrogram

# --help lists the flags under `make_tfrecords`.
flags.disclaim_key_flags()

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Demo:
  """A demo world as a source.

  Attributes:
    world: class of the world.
    gin_file: gin file with its settings.
    output_dir: default folder of its records, also the default of training.
    method: gin file to train with.
  """

  world: type
  gin_file: str
  output_dir: str
  method: str


DEMOS = {
  "demo": Demo(PlanarWorld, "gin/base/demo.gin", "data/demo", "avid"),
  "demo360": Demo(SphericalWorld, "gin/base/demo360.gin", "data/demo360", "avsa"),
}

_MEDIA_FLAGS = (
  "input_dir", "input_csv", "trimmed", "frame_rate_hz", "short_side", "sample_rate_hz",
  "num_channels", "clip_duration_sec", "min_duration_sec", "test_fraction", "jpeg_quality",
  "projection", "channel_order", "flow", "stereo_mode", "audio_track",
)  # fmt: skip
_ONLY_360 = frozenset({"channel_order", "flow"})

# Fewer record files could not be built and read in parallel.
_MIN_SHARDS = 16
# Larger ones would take long to repeat after a stop.
_SHARD_BYTES = 256e6
# Of a JPEG frame, about; its quality and its content change it.
_BYTES_PER_PIXEL = 0.25


class UsageError(UserError):
  """Inconsistent flags; the message states which and a remedy."""


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  flags.DEFINE_enum("source", None, [*SOURCES, *DEMOS], "Source of the clips.")
  local_paths.define_flag(
    "input_dir", None, "folder: the videos; class folders become labels. csv: base folder of "
    "relative paths, by default the folder of the manifest. Others: the unpacked data set."
  )
  local_paths.define_multi_flag(
    "input_csv", [], "csv: manifest: path[, start_sec, end_sec, label, split]. kinetics, audioset: "
    "a list of clips, repeatable; by default all lists in --input_dir."
  )
  flags.DEFINE_boolean(
    "trimmed", False, "kinetics, audioset: files named by a video id alone are clips, not whole "
    "videos to cut clips from."
  )
  local_paths.define_flag(
    "output_dir", None, "Folder of the data set; in data/ by default for demo and demo360."
  )
  flags.DEFINE_integer(
    "num_shards", None, "Record files per split; by default files of about 256 MB, at least "
    f"{_MIN_SHARDS}.", lower_bound=1
  )
  flags.DEFINE_integer(
    "num_workers", os.cpu_count(), "Worker processes; 0: use the main process only.", lower_bound=0
  )
  flags.DEFINE_enum("engine", engine_choice.LOCAL, engine_choice.ENGINES, engine_choice.ENGINE_HELP)
  flags.DEFINE_string("ray_address", None, engine_choice.RAY_ADDRESS_HELP)
  flags.DEFINE_float(
    "max_failure_rate", 0.1, "Maximum share of the files, and of their clips, that may fail.",
    lower_bound=0, upper_bound=1,
  )
  flags.DEFINE_boolean("retry_failed", False, "Retry the failures of an earlier build.")
  flags.DEFINE_boolean("overwrite", False, "Delete the data set in --output_dir first.")
  _define_media_flags()
  flags.mark_flag_as_required("source")


def _define_media_flags() -> None:
  flags.DEFINE_float("frame_rate_hz", 16.0, "Rate of the frames.", lower_bound=0.1)
  flags.DEFINE_integer("short_side", 256, "Shorter side of the frames, in pixels.", lower_bound=16)
  flags.DEFINE_integer("sample_rate_hz", 24000, "Sample rate of the audio.", lower_bound=1000)
  flags.DEFINE_enum(
    "projection", "flat", ["flat", *picture_view.PROJECTIONS],
    "360° video: projection of the files (cubemap: equi-angular, as on YouTube). Records are "
    "equirectangular, --short_side high and twice as wide, with ambisonics as audio."
  )
  flags.DEFINE_enum(
    "channel_order", "acn", CHANNEL_ORDERS,
    "360° video: order of the audio channels if the file does not state it. acn: W Y Z X with "
    "SN3D weights; youtube_aac: as in AAC from YouTube."
  )
  flags.DEFINE_enum(
    "stereo_mode", AUTO, STEREO_MODES,
    "Layout of stereoscopic video, of which the left eye is used; auto: as stated in each file."
  )
  flags.DEFINE_integer(
    "audio_track", None, "Number of the audio track, from 1. The default is the default track of "
    "each file, for 360° video the first that can be ambisonics.", lower_bound=1
  )
  flags.DEFINE_boolean(
    "flow", False, "360° video and demo360: compute and store the optical flow of the frames."
  )
  flags.DEFINE_enum("num_channels", "1", ["1", "2", "0", "all"], "Audio channels; 0 or all: keep.")
  flags.DEFINE_float(
    "clip_duration_sec", 10.0, "Duration of the clips that long files and spans are cut into."
  )
  flags.DEFINE_float("min_duration_sec", 2.0, "Shorter files, spans and remainders are dropped.")
  flags.DEFINE_float(
    "test_fraction", 0.1,
    "Share of the files of each class in the test split, if the input has no splits.",
  )
  flags.DEFINE_integer("jpeg_quality", 85, "JPEG quality; lower for highly detailed clips.")


def media_recipe(source: MediaSource) -> Recipe:
  """The recipe of a source of media files; prints notes on the input.

  Raises:
    ValueError, OSError: the input does not match the flags, or cannot be read.
  """
  for name, value in source.defaults.items():
    FLAGS.set_default(name, value)
  is_360 = source.is_360 or FLAGS.projection != "flat"
  _check_media_flags(source, is_360)
  name = _name_of_input()
  listing = source.list_clips(Inputs(FLAGS.input_dir, FLAGS.input_csv, FLAGS.trimmed))
  for note in listing.notes:
    print(f"Note: {printable(note)}", flush=True)
  requests = listing.requests
  if "test_fraction" in source.settings:
    requests = holdout.hold_out(requests, FLAGS.test_fraction)
  return Recipe(
    name=name,
    requests=requests,
    label_names=listing.label_names,
    reader=_reader_360() if is_360 else MediaReader(
      frame_rate_hz=FLAGS.frame_rate_hz,
      short_side=FLAGS.short_side,
      sample_rate_hz=FLAGS.sample_rate_hz,
      num_channels=None if FLAGS.num_channels in ("0", "all") else int(FLAGS.num_channels),
      stereo_mode=FLAGS.stereo_mode,
      audio_track=FLAGS.audio_track,
    ),
    cutting=source.cutting or Cutting(FLAGS.clip_duration_sec, FLAGS.min_duration_sec),
    jpeg=JpegSettings(quality=FLAGS.jpeg_quality),
    num_shards=FLAGS.num_shards or _MIN_SHARDS,
    max_shard_clips=None if FLAGS.num_shards else _clips_per_shard(source, is_360),
    # Evaluation data is normalised with the statistics of the training data.
    spectrogram=None if source.task else _spectrogram_at(FLAGS.sample_rate_hz),
    modalities=source.modalities,
    subsets=listing.subsets,
    origin={
      "source": FLAGS.source,
      "input": FLAGS.input_dir if not FLAGS.input_csv else " ".join(FLAGS.input_csv),
    },
    flow=FLAGS.flow,
    shuffle=True,
  )


def _clips_per_shard(source: MediaSource, is_360: bool) -> int:
  """Number of clips of about `_SHARD_BYTES`, by arithmetic from the flags."""
  # Sources of whole files have no limit on the duration; theirs are about as long as other clips.
  limit_sec = source.cutting.clip_duration_sec if source.cutting else FLAGS.clip_duration_sec
  duration_sec = min(limit_sec, FLAGS.clip_duration_sec)
  bytes_per_sec = 0.0
  if keys.VIDEO in source.modalities:
    pixels = FLAGS.short_side**2 * (2 if is_360 else 16 / 9)
    bytes_per_sec += FLAGS.frame_rate_hz * pixels * _BYTES_PER_PIXEL * (2 if FLAGS.flow else 1)
  if keys.AUDIO in source.modalities:
    channels = 4 if is_360 else 1 if FLAGS.num_channels == "1" else 2
    bytes_per_sec += FLAGS.sample_rate_hz * channels * 4  # float32
  return max(1, int(_SHARD_BYTES / (bytes_per_sec * duration_sec)))


def _check_media_flags(source: MediaSource, is_360: bool) -> None:
  given = [name for name in _MEDIA_FLAGS if FLAGS[name].present]
  settings = set(source.settings)
  # Ambisonics are never mixed; other audio has no channel order.
  settings -= {"num_channels"} if is_360 else _ONLY_360
  lacking = [f"--{name}" for name in given if name in source.settings & _ONLY_360 - settings]
  if lacking:
    raise UsageError(
      f"{', '.join(lacking)}: only for 360° video; pass --projection=equirectangular or cubemap."
    )
  vain = [f"--{name}" for name in given if name not in settings]
  if vain:
    raise UsageError(f"{', '.join(vain)}: not supported with --source={FLAGS.source}.")


def _name_of_input() -> str:
  """Name of the data set, derived from the input flags."""
  if FLAGS.source == "csv":
    if len(FLAGS.input_csv) != 1:
      raise UsageError("--source=csv requires --input_csv=<manifest>, once.")
    name = os.path.splitext(os.path.basename(FLAGS.input_csv[0]))[0]
  else:
    if not FLAGS.input_dir:
      raise UsageError(f"--source={FLAGS.source} requires --input_dir=<folder of the data set>.")
    name = FLAGS.source
    if name == "folder":
      name = os.path.basename(os.path.abspath(FLAGS.input_dir))
    else:
      print(f"Reading the lists and files of {FLAGS.input_dir}.", flush=True)
  return name


def _reader_360() -> SphericalReader:
  """The reader of 360° video."""
  return SphericalReader(
    frame_rate_hz=FLAGS.frame_rate_hz,
    height=FLAGS.short_side,
    sample_rate_hz=FLAGS.sample_rate_hz,
    input_projection=(
      EQUI_ANGULAR_CUBEMAP if FLAGS.projection == picture_view.CUBEMAP else EQUIRECTANGULAR
    ),
    channel_order=FLAGS.channel_order,
    stereo_mode=FLAGS.stereo_mode,
    audio_track=FLAGS.audio_track,
  )


def demo_recipe(source: Demo) -> Recipe:
  """The recipe of a demo world, which determines rates and sizes.

  Raises:
    UsageError: a given flag does not apply to demo worlds.
  """
  is_360 = source.world.projection is not None
  settings = {"flow"} if is_360 else set()
  vain = [f"--{name}" for name in _MEDIA_FLAGS if FLAGS[name].present and name not in settings]
  if vain:
    raise UsageError(
      f"{', '.join(vain)}: not supported with --source={FLAGS.source}, whose world determines "
      "rates and sizes. Use gin parameters instead, such as "
      f"--gin_param={source.world.__name__}.num_train=512."
    )
  world = gin.get_configurable(source.world)()
  num_shards = FLAGS.num_shards or _MIN_SHARDS
  return demo.recipe(world, _spectrogram_at(world.sample_rate_hz), num_shards, FLAGS.flow)


def _spectrogram_at(sample_rate_hz: int) -> Optional[Spectrogram]:
  """The configured spectrogram if it matches `sample_rate_hz`; the published one by default.

  The hop length of the default is scaled with the sample rate, which keeps its frame rate.
  """
  spectrogram = gin.get_configurable(Spectrogram)()
  hop = spectrogram.hop_length * sample_rate_hz / spectrogram.sample_rate_hz
  if spectrogram.sample_rate_hz == sample_rate_hz:
    return spectrogram
  if FLAGS.gin_file or FLAGS.gin_param or hop != int(hop):
    print(
      f"Note: the spectrogram is for {spectrogram.sample_rate_hz} Hz, but the audio has "
      f"{sample_rate_hz} Hz: its statistics are not measured. Configure it with "
      f"--gin_param=Spectrogram.sample_rate_hz={sample_rate_hz} and a suitable hop_length."
    )
    return None
  return Spectrogram(sample_rate_hz=sample_rate_hz, hop_length=int(hop))

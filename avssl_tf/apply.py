"""Applies a trained network to files.

  python -m avssl_tf.apply spatialize --model_dir=runs/spatial_audio --input=video.mp4 \\
    --output=field.wav --output=video360.mp4 --overlay=map.mp4

Sub-commands:

  spatialize  gives a 360° video with mono or stereo sound a sound field
  localize    shows in an ordinary video where its sound comes from
  embed       makes features and embeddings of the videos and sounds of a folder
  search      finds the videos or sounds of such embeddings that are nearest to another

`python -m avssl_tf.apply spatialize --help` lists the flags of one.
"""

import dataclasses
import sys
from typing import Callable

from absl import flags

from avssl_tf import cli, keys, local_paths, stops
from avssl_tf.applications import localize, spatialize
from avssl_tf.applications.embedding import embed, search
from avssl_tf.data.media import picture_stream, picture_view
from avssl_tf.errors import UserError
from avssl_tf.training import loading

FLAGS = flags.FLAGS


def _define_track_flag() -> None:
  flags.DEFINE_integer(
    "audio_track",
    None,
    "Number of the sound track to take, from 1; by default the one that the file marks so.",
    lower_bound=1,
  )


def _define_spatialize_flags() -> None:
  local_paths.define_flag(
    "model_dir", None, "Folder of a run of gin/spatial_audio.gin, or of its SavedModel."
  )
  local_paths.define_flag(
    "input", None, "360° video with sound: mono, or more channels, which are mixed to mono."
  )
  local_paths.define_multi_flag(
    "output",
    [],
    "File to write, once or twice: .wav for ambisonics (W Y Z X, SN3D), .mp4 for the 360° video "
    "with them.",
  )
  local_paths.define_flag(
    "overlay", None, "Video (.mp4) to write, with a map of where sound comes from, and stereo."
  )
  flags.DEFINE_enum(
    "projection",
    picture_stream.PROJECTIONS[0],
    picture_stream.PROJECTIONS,
    "Of the pictures of --input: equirectangular (2:1), or equi-angular cubemaps (3:2).",
  )
  flags.DEFINE_enum(
    "stereo_mode",
    picture_view.AUTO,
    picture_view.STEREO_MODES,
    "Where two eyes are in the pictures of --input, of which the network sees the left one; auto: "
    "what the file says.",
  )
  _define_track_flag()
  flags.DEFINE_integer("overlay_height", 720, "Most rows of --overlay.", lower_bound=2)
  flags.DEFINE_integer("chunks_per_batch", 4, "Chunks that the network sees at once.", 1)
  flags.DEFINE_bool("overwrite", False, "Replace outputs that are there.")
  flags.mark_flags_as_required(["model_dir", "input"])


def _spatialize() -> None:
  job = spatialize.Job(
    input=FLAGS.input,
    outputs=FLAGS.output,
    overlay=FLAGS.overlay,
    projection=FLAGS.projection,
    overlay_height=FLAGS.overlay_height,
    overwrite=FLAGS.overwrite,
    chunks_per_batch=FLAGS.chunks_per_batch,
    stereo_mode=FLAGS.stereo_mode,
    audio_track=FLAGS.audio_track,
  )
  job.check()
  loaded = loading.load(FLAGS.model_dir)
  print("\n".join(spatialize.run(loaded.generator, job)))


def _define_localize_flags() -> None:
  local_paths.define_flag(
    "model_dir",
    None,
    "Folder of a run of a network that embeds pictures and sound, of a converted checkpoint or of "
    "a SavedModel.",
  )
  local_paths.define_flag("input", None, "Video with sound, of any length and shape.")
  local_paths.define_flag(
    "output", None, "Video (.mp4) to write, with a map of where sound comes from, and the sound."
  )
  _define_track_flag()
  flags.DEFINE_integer("output_height", 720, "Most rows of --output.", lower_bound=2)
  flags.DEFINE_integer("windows_per_batch", 4, "Windows that the network sees at once.", 1)
  flags.DEFINE_bool("overwrite", False, "Replace --output if it is there.")
  flags.mark_flags_as_required(["model_dir", "input", "output"])


def _localize() -> None:
  job = localize.Job(
    input=FLAGS.input,
    output=FLAGS.output,
    overwrite=FLAGS.overwrite,
    output_height=FLAGS.output_height,
    windows_per_batch=FLAGS.windows_per_batch,
    audio_track=FLAGS.audio_track,
  )
  job.check()
  loaded = loading.load(FLAGS.model_dir)
  print("\n".join(localize.run(loaded.encoder, job)))


def _define_embed_flags() -> None:
  local_paths.define_flag(
    "model_dir", None, "Folder of a run, of a converted checkpoint, or of a SavedModel."
  )
  local_paths.define_flag("input", None, "Folder of videos and sounds, of any depth; or one file.")
  local_paths.define_flag("output", None, "File to write (.npz): a row a window.")
  flags.DEFINE_float(
    "stride_sec", None, "From the start of a window to that of the next; by default, their length."
  )
  _define_track_flag()
  flags.DEFINE_integer("batch_size", 16, "Windows that the network sees at once.", lower_bound=1)
  flags.DEFINE_bool(
    "overwrite", False, "Replace an output that is there, and parts of another network's."
  )
  flags.mark_flags_as_required(["model_dir", "input", "output"])


def _embed() -> None:
  job = embed.Job(
    input=FLAGS.input,
    output=FLAGS.output,
    stride_sec=FLAGS.stride_sec,
    batch_size=FLAGS.batch_size,
    audio_track=FLAGS.audio_track,
    overwrite=FLAGS.overwrite,
  )
  job.check()
  loaded = loading.load(FLAGS.model_dir)
  try:
    print("\n".join(embed.run(loaded.encoder, loaded.weights, FLAGS.model_dir, job)))
  except KeyboardInterrupt as stop:
    stops.end(stop, f"Stopped. What is done is in {job.parts_folder}: the same command resumes.")


def _define_search_flags() -> None:
  local_paths.define_flag("model_dir", None, "Folder of the network that made --index.")
  local_paths.define_flag("index", None, "File of embeddings that `embed` wrote.")
  local_paths.define_flag("query", None, "Video, sound or picture to look for.")
  flags.DEFINE_enum(
    "query_modality",
    search.AUTO,
    [search.AUTO, *keys.MODALITIES],
    "What of --query counts: its pictures or its sound; auto: pictures where there are any.",
  )
  flags.DEFINE_enum(
    "find", None, keys.MODALITIES, "What is searched; by default, what the query is not."
  )
  flags.DEFINE_float("start_sec", 0.0, "Start of the part of --query that counts.")
  flags.DEFINE_float("end_sec", None, "Its end; by default, that of the file.")
  _define_track_flag()
  flags.DEFINE_integer("top", 10, "Results.", lower_bound=1)
  flags.DEFINE_bool("all_windows", False, "Each window is a result, not the best one of a file.")
  local_paths.define_flag("output", None, "File to write the results to as well: .json or .csv.")
  flags.DEFINE_bool("overwrite", False, "Replace an output that is there.")
  flags.mark_flags_as_required(["model_dir", "index", "query"])


def _search() -> None:
  job = search.Job(
    index=FLAGS.index,
    query=FLAGS.query,
    query_modality=FLAGS.query_modality,
    find=FLAGS.find,
    start_sec=FLAGS.start_sec,
    end_sec=FLAGS.end_sec,
    top=FLAGS.top,
    audio_track=FLAGS.audio_track,
    all_windows=FLAGS.all_windows,
    output=FLAGS.output,
    overwrite=FLAGS.overwrite,
  )
  job.check()
  loaded = loading.load(FLAGS.model_dir)
  print("\n".join(search.run(loaded.encoder, loaded.weights, job)))


@dataclasses.dataclass(frozen=True)
class _SubCommand:
  """A sub-command: what defines its flags, and what does its work once they are read."""

  define_flags: Callable[[], None]
  run: Callable[[], None]


_SUB_COMMANDS = {
  "spatialize": _SubCommand(_define_spatialize_flags, _spatialize),
  "localize": _SubCommand(_define_localize_flags, _localize),
  "embed": _SubCommand(_define_embed_flags, _embed),
  "search": _SubCommand(_define_search_flags, _search),
}

_EXPECTED = f"expected one of: {', '.join(_SUB_COMMANDS)}. --help says more."


def main() -> None:
  """Runs the sub-command that is named first."""
  program, *arguments = sys.argv
  name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else ""
  if name in _SUB_COMMANDS:
    _SUB_COMMANDS[name].define_flags()
    work = _SUB_COMMANDS[name].run
  elif name:  # Its flags would be refused first.
    sys.exit(f"Error: there is no sub-command {name!r}; {_EXPECTED}")
  else:
    work = _ask
  cli.main(work, "Stopped; nothing was written.", argv=[program, *arguments])


def _ask() -> None:
  raise UserError(f"a sub-command is missing; {_EXPECTED}")


if __name__ == "__main__":
  main()

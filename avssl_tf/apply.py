"""Applies a trained network to files.

  python -m avssl_tf.apply spatialize --model_dir=runs/spatial_audio --input=video.mp4 \\
    --output=field.wav --output=video360.mp4 --overlay=map.mp4

Sub-commands:

  spatialize  generates a sound field for a 360° video with mono or stereo audio
  localize    shows the sound sources of an ordinary video as a heat map
  embed       computes features and embeddings of the video and audio files of a folder
  index       makes a search index of such embeddings
  search      finds the nearest video or audio files among them

`python -m avssl_tf.apply spatialize --help` lists the flags of a sub-command.
"""

import dataclasses
import functools
import sys
from typing import Callable, Optional

from absl import flags

from avssl_tf import cli, job_flags, local_paths, stops
from avssl_tf.applications import localize, spatialize
from avssl_tf.applications.embedding import embed, index, search, search_service
from avssl_tf.errors import UserError
from avssl_tf.training import loading

FLAGS = flags.FLAGS



@dataclasses.dataclass(frozen=True)
class _SubCommand:
  """A sub-command.

  Attributes:
    job: dataclass of the job; its fields are the flags.
    model_help: help of `--model_dir`; None: the job needs no network.
    run: runs the job with the folder of the network, if any; returns lines for the user.
  """

  job: type
  model_help: Optional[str]
  run: Callable[..., list[str]]

  def define_flags(self) -> None:
    """Defines the flags: those of the job, and `--model_dir`."""
    if self.model_help is not None:
      local_paths.define_flag("model_dir", None, self.model_help, required=True)
    job_flags.define(self.job)

  def work(self) -> None:
    """Runs the job that the flags describe."""
    job = job_flags.parsed(self.job)
    job.check()
    lines = self.run(job) if self.model_help is None else self.run(FLAGS.model_dir, job)
    if lines:
      print("\n".join(lines))


def _spatialize(model_dir: str, job: spatialize.Job) -> list[str]:
  return spatialize.run(loading.load(model_dir).generator, job)


def _localize(model_dir: str, job: localize.Job) -> list[str]:
  return localize.run(loading.load(model_dir).encoder, job)


def _embed(model_dir: str, job: embed.Job) -> list[str]:
  loaded = loading.load(model_dir)
  try:
    return embed.run(loaded.encoder, loaded.weights, model_dir, job)
  except KeyboardInterrupt as stop:
    stops.end(
      stop, f"Stopped. Finished parts are in {job.parts_folder}; rerun the command to resume."
    )


def _search(model_dir: str, job: search.Job) -> list[str]:
  loaded = loading.load(model_dir)
  if not job.serve:
    return search.run(loaded.encoder, loaded.weights, job)
  searched = search.Search(loaded.encoder, loaded.weights, job.index)
  searched.prepare()
  print("Ready: one query per line.", file=sys.stderr, flush=True)
  search_service.serve(searched, job, sys.stdin, functools.partial(print, flush=True))
  return []


_SUB_COMMANDS = {
  "spatialize": _SubCommand(
    spatialize.Job, "Folder of a run of gin/spatial_audio.gin or of its SavedModel.", _spatialize
  ),
  "localize": _SubCommand(
    localize.Job,
    "Folder of a run with video and audio embeddings, of a converted checkpoint or of a "
    "SavedModel.",
    _localize,
  ),
  "embed": _SubCommand(
    embed.Job, "Folder of a run, a converted checkpoint or a SavedModel.", _embed
  ),
  "index": _SubCommand(index.Job, None, index.run),
  "search": _SubCommand(search.Job, "Folder of the network that computed --index.", _search),
}
_EXPECTED = f"expected one of: {', '.join(_SUB_COMMANDS)}. See --help."


def main() -> None:
  """Runs the sub-command in the first argument."""
  program, *arguments = sys.argv
  name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else ""
  if name in _SUB_COMMANDS:
    _SUB_COMMANDS[name].define_flags()
    work = _SUB_COMMANDS[name].work
  elif name:  # Checked here, before its flags are rejected as unknown.
    sys.exit(f"Error: there is no sub-command {name!r}; {_EXPECTED}")
  else:
    work = _ask
  cli.main(work, "Stopped; nothing was written.", argv=[program, *arguments])


def _ask() -> None:
  raise UserError(f"a sub-command is missing; {_EXPECTED}")


if __name__ == "__main__":
  main()

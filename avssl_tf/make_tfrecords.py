"""Builds a data set of records from media files or from a demo world.

  python tools/make_tfrecords.py --source=demo
  python tools/make_tfrecords.py --source=demo360
  python tools/make_tfrecords.py --source=folder --input_dir=videos --output_dir=data/mine
  python tools/make_tfrecords.py --source=csv --input_csv=clips.csv --output_dir=data/mine
  python tools/make_tfrecords.py --source=ucf101 --input_dir=UCF101 --output_dir=data/ucf101

Rerun an interrupted command to resume the build.

For your own 360° videos with ambisonics, use --source=folder or csv with --projection.

Published data sets (kinetics, audioset, yt360, rec_street, yt_clean, yt_music, yt_all, ucf101,
hmdb51, esc50, dcase) are read as unpacked, with their official lists. Missing files of their layout
are reported immediately; the modules in avssl_tf/data/sources document the layouts. ucf101 and
hmdb51 give records of video only, esc50 and dcase of audio only, one per file, with the folds as
subsets such as train1 and test1. rec_street, yt_clean, yt_music and yt_all have such folds too;
their defaults are --frame_rate_hz=10 --short_side=224 --sample_rate_hz=48000. Many files of
kinetics, audioset and all 360° data sets are no longer available: --max_failure_rate=0.3 builds the
rest if up to 30% are missing.
"""


import json
import shlex
import time

from absl import flags

from avssl_tf import cli, recipe_flags
from avssl_tf.data.building.build import build
from avssl_tf.data.building.media_sources import SOURCES
from avssl_tf.data.building.summary import print_summary
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.sources.listings.clip_request import DEFAULT_SPLIT
from avssl_tf.engines import engine_choice
from avssl_tf.recipe_flags import DEMOS, UsageError

FLAGS = flags.FLAGS


def main() -> None:
  """Builds the data set that the flags specify."""
  cli.define_gin_flags()
  recipe_flags.define_flags()
  cli.main(_build, stopped="Stopped. Rerun the command to resume.")


def _build() -> None:
  # Not at the top of the file, which each worker process imports without need for this.
  from avssl_tf.training.configurations import configuration

  started = time.monotonic()
  cli.hide_gpus()  # Leaves the GPU to a training run.
  source = DEMOS.get(FLAGS.source)
  output_dir = FLAGS.output_dir or (source.output_dir if source else None)
  if output_dir is None:
    raise UsageError(f"--source={FLAGS.source} requires --output_dir=<folder of the data set>.")
  gin_files = [source.gin_file] if source else []
  configuration.parse(gin_files + FLAGS.gin_file, FLAGS.gin_param)
  result = build(
    recipe_flags.demo_recipe(source) if source else
    recipe_flags.media_recipe(SOURCES[FLAGS.source]),
    output_dir,
    FLAGS.num_workers,
    FLAGS.max_failure_rate,
    FLAGS.retry_failed,
    FLAGS.overwrite,
    engine_choice.choose(FLAGS.engine, FLAGS.num_workers, FLAGS.ray_address),
  )
  print_summary(result, output_dir, time.monotonic() - started)
  _print_next_steps(output_dir, result.info)


def _print_next_steps(output_dir: str, info: DatasetInfo) -> None:
  """Prints commands that use the data set."""
  folder = shlex.quote(output_dir)
  print(f"Inspect:    python tools/inspect_records.py --data_dir={folder} --output=contact.png")
  demo_source = DEMOS.get(FLAGS.source)
  source = demo_source or SOURCES[FLAGS.source]
  method, scale = source.method, None if demo_source else source.scale
  if not (demo_source or source.is_360) and FLAGS.projection != "flat":
    method, scale = "avsa", "yt360"
  if not demo_source and source.task:
    _print_evaluation(source.task, f"--gin_file=gin/evaluate/scale/{scale}.gin", folder, method)
    return
  if DEFAULT_SPLIT not in info.splits and not info.subsets:
    task = "viewpoint_retrieval" if method == "avsa" else "retrieval"
    binding = f"split={json.dumps(info.test_split() or min(info.splits))}"
    _print_evaluation(task, f"--gin_param={shlex.quote(binding)}", folder, method)
    return
  train = f"python -m avssl_tf.train --gin_file=gin/{method}.gin"
  if scale:
    train += f" --gin_file=gin/scale/{scale}.gin"
  if method == "spatial_audio" and not demo_source and not info.flow:
    train += " --gin_param=ClipSpec.flow=False --gin_param=SpatialUNet.flow_net=None"
  if not demo_source or output_dir != demo_source.output_dir:
    binding = f"data_dir={json.dumps(output_dir, ensure_ascii=False)}"
    train += f" --gin_param={shlex.quote(binding)}"
  print(f"Train:      {train} --model_dir=runs/{method}")


def _print_evaluation(task: str, setting: str, folder: str, method: str) -> None:
  """Prints a command that evaluates a run of `method`."""
  command = f"python -m avssl_tf.evaluate --task={task} {setting} --data_dir={folder}"
  print(f"Evaluate:   {command} --model_dir=runs/{method}")


if __name__ == "__main__":
  main()

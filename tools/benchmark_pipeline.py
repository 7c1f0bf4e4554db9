#!/usr/bin/env python3
"""Measures the throughput of the input pipeline, in clips per second, on one and two cores.

  python tools/benchmark_pipeline.py                      # 340x256 film, 8 x 112x112 + 2 s of audio
  python tools/benchmark_pipeline.py --video=             # the same with generated textures
  python tools/benchmark_pipeline.py --data_dir=data/demo --num_frames=8 --frame_rate_hz=8 \
      --frame_size=32 --audio_sec=1.2 --batch_size=32     # an existing data set

Without --data_dir it builds a small data set, which remains in the page cache: the benchmark
measures the processor, not the disk. Each figure is the best of several rounds. The tool prints
clips per second of wall-clock time and of processor time, which estimates the rate on an idle core.
"""

import multiprocessing
import os
import sys
import tempfile
import time

# Makes the package importable from any folder, without an installation.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, _ROOT)

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.
from avssl_tf.data.media import media_probe

# isort: split
import numpy as np
import tensorflow as tf
from absl import flags

from avssl_tf import local_paths
from avssl_tf.data import clip_content
from avssl_tf.data.media import clip_reading
from avssl_tf.data.pipeline import clip_kinds, datasets
from avssl_tf.data.records import encoding
from avssl_tf.data.records.dataset_info import DatasetInfo, Shard
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.errors import UserError

FLAGS = flags.FLAGS
local_paths.define_flag("data_dir", None, "Data set to measure; default: a new one.")
flags.DEFINE_string("split", "train", "Split of --data_dir.")
local_paths.define_flag(
  "video",
  os.path.join(_ROOT, "tests", "testdata", "big_buck_bunny_720p.mp4"),
  "Source film of the data set; empty: generated textures.",
)
flags.DEFINE_integer("num_frames", 8, "Frames per clip.")
flags.DEFINE_float("frame_rate_hz", 16.0, "Frame rate of a clip.")
flags.DEFINE_integer("frame_size", 112, "Height and width of a frame.")
flags.DEFINE_float("audio_sec", 2.0, "Duration of the audio.")
flags.DEFINE_integer("batch_size", 8, "Clips per batch.")
flags.DEFINE_float("round_sec", 2.0, "Duration of a round.")
flags.DEFINE_integer("num_rounds", 3, "Number of rounds.")

_NUM_CLIPS = 8
_STORED_SEC = 10
_STORED_RATE_HZ = 16
_STORED_SIZE = (256, 340)  # height, width
_SAMPLE_RATE_HZ = 24000


def texture_frames(rng: np.random.Generator) -> np.ndarray:
  """Frames of a moving texture: uint8 `[T, H, W, 3]`.

  Its amplitude decreases with frequency as in photographs (Field, Relations between the statistics
  of natural images, JOSA A 1987), so it compresses similarly.
  """
  height, width = _STORED_SIZE
  size = 512
  frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
  frequency[0, 0] = np.inf
  noise = np.fft.fft2(rng.standard_normal((4, size, size))) / frequency**1.1
  planes = np.fft.ifft2(noise).real
  planes /= planes.std(axis=(1, 2), keepdims=True)
  image = 128 + 45 * planes[0, ..., None] + 15 * planes[1:].transpose(1, 2, 0)
  image = np.clip(image, 0, 255).astype(np.uint8)
  starts = rng.integers(0, 40, 2) + np.arange(_STORED_SEC * _STORED_RATE_HZ)[:, None] // [2, 1]
  rows, columns = starts[:, 0] % (size - height), starts[:, 1] % (size - width)
  return np.stack([image[y : y + height, x : x + width] for y, x in zip(rows, columns)])


def film_frames(path: str) -> np.ndarray:
  """Frames of a film, forwards and backwards, repeated to full length: uint8 `[T, H, W, 3]`."""
  height, width = _STORED_SIZE
  duration_sec = min(media_probe.probe(path).duration_sec, _STORED_SEC)
  frames = clip_reading.read_clip(path, 0, duration_sec, _STORED_RATE_HZ, short_side=height).frames
  left = (frames.shape[2] - width) // 2
  frames = frames[:, :height, left : left + width]
  there_and_back = np.concatenate([frames, frames[-2:0:-1]])
  return np.resize(there_and_back, (_STORED_SEC * _STORED_RATE_HZ, *frames.shape[1:]))


def build(data_dir: str) -> None:
  """Builds a data set of `_NUM_CLIPS` clips in `data_dir`."""
  rng = np.random.default_rng(0)
  film = film_frames(FLAGS.video) if FLAGS.video else None
  path = os.path.join(data_dir, "train.tfrecord")
  with tf.io.TFRecordWriter(path) as writer:
    for index in range(_NUM_CLIPS):
      frames = texture_frames(rng) if film is None else np.roll(film, 20 * index, axis=0)
      content = clip_content.Content(
        frames=frames,
        timestamps_us=np.arange(len(frames)) * 1_000_000 // _STORED_RATE_HZ,
        waveform=rng.uniform(-0.5, 0.5, (_STORED_SEC * _SAMPLE_RATE_HZ, 1)).astype(np.float32),
      )
      planned = clip_content.PlannedClip(
        index, "train", "", f"clip{index}", (), start_us=0, end_us=_STORED_SEC * 1_000_000
      )
      encoded = encoding.encode_example(
        planned, content, "benchmark", _STORED_RATE_HZ, _SAMPLE_RATE_HZ, [], JpegSettings()
      )
      writer.write(encoding.with_index(encoded, index))
  offsets = encoding.scan_offsets(path)
  ids = [f"clip{index}" for index in range(_NUM_CLIPS)]
  DatasetInfo(
    name="benchmark",
    splits={"train": [Shard("train.tfrecord", offsets, ids, [-1] * _NUM_CLIPS)]},
    frame_rate_hz=_STORED_RATE_HZ,
    frame_size=list(_STORED_SIZE),
    sample_rate_hz=_SAMPLE_RATE_HZ,
    num_channels=1,
    clip_duration_sec=_STORED_SEC,
  ).save(data_dir)


def megabytes_of_10_sec(data_dir: str, split: str) -> float:
  """Mean record size of 10 s of a clip in MB, over at most 100 clips."""
  info = DatasetInfo.load(data_dir)
  table = info.records(split)
  places = list(zip(table.file_numbers, table.offsets.tolist()))[:100]
  sizes = [
    len(encoding.read_record(os.path.join(data_dir, table.files[file]), offset))
    for file, offset in places
  ]
  return np.mean(sizes) / 1e6 * 10 / info.clip_duration_sec


def stages(data_dir: str, split: str, clip: datasets.ClipSpec, batch_size: int) -> dict:
  """Data sets with an increasing number of stages; the last has all."""
  reader = RecordReader(data_dir, split)
  kind = clip_kinds.kind_of(clip)

  def uniforms(element):
    return tf.random.stateless_uniform([kind.num_uniforms()], [0, element], dtype=tf.float64)

  def parse(element):
    stored = reader.read(element % reader.num_records)
    return tf.size(stored.frames) + tf.size(stored.waveform), stored.key

  def load(augmentation):
    return lambda element: kind.random_example(
      reader.read(element % reader.num_records), augmentation, uniforms(element)
    )

  steps = {
    "random numbers": uniforms,
    "+ read, verify checksum": lambda i: tf.strings.length(
      reader.serialized(i % reader.num_records)
    ),
    "+ parse": parse,
    "+ decode and resize, centre": load(None),
    "with random crop, flip, colour": load(datasets.Augmentation()),
  }
  found = {}
  for name, step in steps.items():
    elements = tf.data.Dataset.range(tf.int64.max)
    dataset = elements.map(tf.autograph.experimental.do_not_convert(step), tf.data.AUTOTUNE)
    found[name] = dataset.batch(batch_size).prefetch(1)
  return found


def rates(dataset: tf.data.Dataset, batch_size: int, num_threads: int) -> tuple[float, float]:
  """Best clips per second over all rounds, by wall-clock and by processor time."""
  options = tf.data.Options()
  options.threading.private_threadpool_size = num_threads
  iterator = iter(dataset.with_options(options))
  for _ in range(3):
    next(iterator)
  best = np.zeros(2)
  for _ in range(FLAGS.num_rounds):
    wall, processor, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < FLAGS.round_sec:
      next(iterator)
      count += batch_size
    elapsed = np.array([time.perf_counter() - wall, time.process_time() - processor])
    best = np.maximum(best, count / elapsed)
  return best[0], best[1]


def measure(arguments: list, data_dir: str, num_cores: int) -> float:
  """Measures on the first `num_cores` cores, in a separate process, and prints the result."""
  FLAGS(arguments)
  cores = sorted(os.sched_getaffinity(0))[:num_cores]
  os.sched_setaffinity(0, cores)
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(num_cores)
  clip = datasets.ClipSpec(
    num_frames=FLAGS.num_frames,
    frame_rate_hz=FLAGS.frame_rate_hz,
    frame_size=FLAGS.frame_size,
    audio_sec=FLAGS.audio_sec,
  )
  dataset = datasets.training_dataset(
    data_dir, FLAGS.split, clip, datasets.Augmentation(), FLAGS.batch_size, seed=0
  )
  wall, processor = rates(dataset, FLAGS.batch_size, num_cores)
  print(
    f"{num_cores} core(s): {wall:7.1f} clips/s; per core by processor time: {processor:7.1f}",
    flush=True,
  )
  if num_cores == 1:
    print("  ms of processor time per clip, one core:")
    for name, stage in stages(data_dir, FLAGS.split, clip, FLAGS.batch_size).items():
      print(f"  {name:32s} {1000 / rates(stage, FLAGS.batch_size, 1)[1]:8.3f}", flush=True)
  return wall


def main() -> None:
  """Builds the records if necessary, and measures in one process after the other."""
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  cli.hide_gpus()  # Only the processor is measured.
  if FLAGS.video and not FLAGS.data_dir and not os.path.exists(FLAGS.video):
    raise UserError(f"--video={FLAGS.video}: no such file. Use --video= for generated textures.")
  # TensorFlow counts the cores once per process, so each measurement has a new process.
  context = multiprocessing.get_context("spawn")
  with tempfile.TemporaryDirectory() as folder:
    if not FLAGS.data_dir:
      print(f"Building {_NUM_CLIPS} clips from {FLAGS.video or 'textures'}", flush=True)
      build(folder)
    data_dir = FLAGS.data_dir or folder
    print(f"10 s of a clip: {megabytes_of_10_sec(data_dir, FLAGS.split):.2f} MB", flush=True)
    walls = []
    for num_cores in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
      with context.Pool(1) as pool:
        walls.append(pool.apply(measure, (sys.argv, data_dir, num_cores)))
  if len(walls) == 2:
    print(f"Two cores over one: {walls[1] / walls[0]:.2f}")


if __name__ == "__main__":
  main()

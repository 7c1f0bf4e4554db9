"""From records to batches: read > parse > sample > decode > augment > batch.

The training stream is endless. Its element g = step * global_batch + position is a pure
function of (seed, g): which record, which windows, which augmentation. So a run that is
resumed at a step sees what it would have seen, at no cost; several workers take disjoint
positions of the same stream; and the number of threads changes nothing.

By default each element draws its record independently, with replacement. With a memory bank
this matters: where each clip comes once a pass, the row of the positive is always one of
those written longest ago, while negatives are of any age, and networks learn to tell the age
of a row instead of its content. Under independent draws, positives and negatives have the
same distribution of ages.

Where many clips were cut from one video, `"video"` draws videos and then clips of them, no video
twice in a batch: clips of one video are hardly negatives of each other.

What is taken of a clip, and how, is in `clip_kind`.
"""

from typing import Callable, Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import clip_kinds, draws
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.records import dataset_info, source_videos
from avssl_tf.data.records.record_reader import RecordReader, StoredClip
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor


def training_dataset(
  data_dir: str,
  split: str,
  clip: ClipSpec,
  augmentation: Optional[Augmentation] = None,
  batch_size: int = 32,
  seed: int = 0,
  first_step: int = 0,
  sampling: str = "independent",
  num_workers: int = 1,
  worker: int = 0,
  num_threads: Optional[int] = None,
  group_size: Optional[int] = None,
  all_labels: bool = False,
) -> tf.data.Dataset:
  """Endless batches of randomly drawn and augmented clips.

  Args:
    data_dir: folder of a data set.
    split: a split or subset of it, or a slice of one such as `"train[:3584]"`.
    clip: what to take of each clip.
    augmentation: random changes; None leaves the windows as the only random part and takes
      the centre crop.
    batch_size: clips in a batch of this worker.
    seed: of everything that is random.
    first_step: number of the first batch, to resume at.
    sampling: `"independent"` draws each clip anew, with replacement; `"shuffle"` takes each
      clip once a pass (the top of this file says when not to); `"video"` takes each source video
      at most once a pass, none twice in a batch, and draws one of its clips.
    num_workers: number of workers that share a global batch of `num_workers * batch_size`.
    worker: number of this worker; it takes positions `worker * batch_size` onwards.
    num_threads: threads of this data set; None lets tf.data choose.
    group_size: of `"video"`, how many clips in a row are of different videos; None: those of a
      global batch.
    all_labels: whether `LABELS` are wanted.

  Returns:
    Batches as described in `avssl_tf.keys`: `VIDEO` uint8 `[B, T, H, W, 3]`, `AUDIO` float32
    `[B, samples, channels]`, `INDEX` int64 `[B]` (position in the split, subset or slice), `LABEL`
    int64 `[B]`, `KEY` string `[B]`. Where the records hold no pictures there is no `VIDEO`,
    and where they hold no sound no `AUDIO`. Those of 360° clips have more, as listed there.

  Raises:
    MissingFileError: no data set, or files of it are missing.
    UserError: no such split, one with fewer clips (for `"video"`, fewer videos) than the global
      batch, or an argument out of its range.
  """
  reader = _open(data_dir, split, clip, batch_size)
  _check_stream(reader, split, batch_size, first_step, sampling, num_workers, worker)
  draw = _drawing(reader, split, seed, sampling, group_size or batch_size * num_workers)
  kind = clip_kinds.kind_of(clip)

  @tf.autograph.experimental.do_not_convert  # Nothing to convert, and tracing is faster.
  def load(position: Tensor) -> keys.Batch:
    step, place = position // batch_size, position % batch_size
    element = (step * num_workers + worker) * batch_size + place
    uniforms = tf.random.stateless_uniform(
      [1 + kind.num_uniforms(augmentation)], [seed, element], dtype=tf.float64
    )
    record = draw(uniforms[0], element)
    stored = reader.read(record)
    example = kind.random_example(stored, augmentation, uniforms[1:])
    return _with_facts(example, stored, record, num_classes)

  num_classes = len(reader.info.label_names) if all_labels else None
  positions = tf.data.Dataset.range(first_step * batch_size, tf.int64.max)
  dataset = positions.map(load, tf.data.AUTOTUNE, deterministic=True)
  dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
  return dataset.with_options(_options(num_threads))


def evaluation_dataset(
  data_dir: str,
  split: str,
  clip: ClipSpec,
  batch_size: int,
  windows_per_clip: int = 1,
  num_threads: Optional[int] = None,
  turn_sound: bool = False,
  max_records: Optional[int] = None,
  random_seed: Optional[int] = None,
  all_labels: bool = False,
) -> tf.data.Dataset:
  """One pass over a split, in the order of the records, without anything random.

  A single window lies in the middle of the clip; several are spread evenly from its start to
  its end and follow each other. Frames show the centre of the image: what resizing the short
  side to `frame_size * 256 / 224` and cutting out the central `frame_size` pixels shows; or all of
  it, with `ClipSpec.whole_picture`.

  Args:
    data_dir: folder of a data set.
    split: a split or subset of it, or a slice of one such as `"test[:1000]"`.
    clip: what to take of each clip.
    batch_size: windows in a batch; the last batch may have fewer.
    windows_per_clip: number of windows of each clip.
    num_threads: threads of this data set; None lets tf.data choose.
    turn_sound: of 360° clips, whether the sound of each is turned to the left by an angle of its
      own, out of line with the picture; the viewpoints stay the same.
    max_records: show no more records than these, which represent all of the split (see
      `dataset_info.sample_positions`); None: all.
    random_seed: puts windows at random places instead; these, viewpoints and turns follow from
      this number, the record and the window. None spreads windows evenly.
    all_labels: whether `LABELS` are wanted.

  Returns:
    Batches as of `training_dataset`.

  Raises:
    MissingFileError: no data set, or files of it are missing.
    UserError: no such split, an empty one, or an argument out of its range.
  """
  if windows_per_clip < 1:
    raise UserError(f"windows_per_clip is {windows_per_clip}; expected 1 or more.")
  if max_records is not None and max_records < 1:
    raise UserError(f"max_records is {max_records}; expected 1 or more.")
  reader = _open(data_dir, split, clip, batch_size)
  count = reader.num_records
  numbers = dataset_info.sample_positions(count, max_records or count, reader.info.is_shuffled)
  num_shown, numbers = len(numbers), tf.constant(numbers)
  kind = clip_kinds.kind_of(clip)

  @tf.autograph.experimental.do_not_convert  # Nothing to convert, and tracing is faster.
  def load(position: Tensor) -> keys.Batch:
    shown, window = position // windows_per_clip, position % windows_per_clip
    record = numbers[shown]
    stored = reader.read(record)
    # The same viewpoints whenever a clip is looked at, and others for each clip.
    uniforms = tf.random.stateless_uniform(
      [kind.num_uniforms()],
      [random_seed or 0, record * windows_per_clip + window],
      dtype=tf.float64,
    )
    if random_seed is None:
      example = kind.even_example(stored, window, windows_per_clip, uniforms, turn_sound)
    else:
      example = kind.random_example(stored, None, uniforms, turn_sound)
    return _with_facts(example, stored, record, num_classes)

  num_classes = len(reader.info.label_names) if all_labels else None
  positions = tf.data.Dataset.range(num_shown * windows_per_clip)
  dataset = positions.map(load, tf.data.AUTOTUNE, deterministic=True)
  dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
  return dataset.with_options(_options(num_threads))


def _open(data_dir: str, split: str, clip: ClipSpec, batch_size: int) -> RecordReader:
  if batch_size < 1:
    raise UserError(f"batch_size is {batch_size}; expected 1 or more.")
  reader = RecordReader(data_dir, split, clip.boxes)
  clip_kinds.kind_of(clip).check(reader.info, data_dir)
  duration_sec = reader.info.clip_duration_sec
  for modality in reader.info.modalities:
    name = f"{modality}_sec"
    wanted_sec = getattr(clip, name)
    if wanted_sec > duration_sec:
      raise UserError(
        f"ClipSpec.{name} is {wanted_sec:g} s, but the clips in {data_dir!r} last "
        f"{duration_sec:g} s: ask for less, or build records of longer clips."
      )
  return reader


def _check_stream(
  reader: RecordReader,
  split: str,
  batch_size: int,
  first_step: int,
  sampling: str,
  num_workers: int,
  worker: int,
) -> None:
  if sampling not in draws.SAMPLINGS:
    raise UserError(f"sampling is {sampling!r}; expected one of {draws.SAMPLINGS}.")
  if not 0 <= worker < num_workers:
    raise UserError(f"worker is {worker} of {num_workers}; expected 0..{num_workers - 1}.")
  if first_step < 0:
    raise UserError(f"first_step is {first_step}; expected 0 or more.")
  if batch_size * num_workers > reader.num_records:
    raise UserError(
      f"A batch has {batch_size} clips on each of {num_workers} worker(s), but split {split!r} "
      f"has only {reader.num_records}: lower the batch size."
    )


def _drawing(
  reader: RecordReader, split: str, seed: int, sampling: str, group_size: int
) -> Callable[[Tensor, Tensor], Tensor]:
  """A function of an element's random number and its own number: the record that it shows."""
  if sampling != draws.VIDEO_SAMPLING:
    return lambda uniform, element: draws.draw_record(
      uniform, element, reader.num_records, seed, sampling
    )
  videos = source_videos.of_split(reader.info, split)
  source_videos.check_batch(videos, split, group_size)
  records, starts = tf.constant(videos.records), tf.constant(videos.starts)
  return lambda uniform, element: draws.draw_record_of_video(
    uniform, element, records, starts, group_size, seed
  )


def _options(num_threads: Optional[int]) -> tf.data.Options:
  options = tf.data.Options()
  options.deterministic = True
  # The stream is divided among the workers already.
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
  if num_threads is not None:
    options.threading.private_threadpool_size = num_threads
  return options


def _with_facts(
  example: keys.Batch, stored: StoredClip, record: Tensor, num_classes: Optional[int]
) -> keys.Batch:
  facts = {keys.INDEX: record, keys.LABEL: stored.label, keys.KEY: stored.key}
  if num_classes is not None:
    labels = tf.one_hot(stored.labels, num_classes, on_value=True, off_value=False, dtype=tf.bool)
    facts[keys.LABELS] = tf.reduce_any(labels, axis=0)
  return {**example, **facts}

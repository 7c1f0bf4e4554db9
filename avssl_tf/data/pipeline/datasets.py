"""From records to batches: read, parse, sample, decode, augment, batch.

The training stream is endless. Its element g = step * global_batch + position is a pure function of
(seed, g), which determines the record, the windows and the augmentation. A run that resumes at a
step therefore reads the same data at no cost, several workers read disjoint positions of the same
stream, and the number of threads has no effect.

By default each element draws its record independently, with replacement. This matters with a memory
bank. If each clip occurs once per pass, the row of the positive is always among the oldest, while
negatives have any age, and networks learn the age of a row instead of its content. With independent
draws, positives and negatives have the same distribution of ages.

If many clips were cut from one video, `"video"` draws videos and then one of their clips, with no
video twice in a batch, because clips of the same video are poor negatives of each other.

`clip_kind` defines how a clip becomes an example.
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

  The stream is a pure function of the arguments: resuming at `first_step` continues it exactly, and
  `num_threads` has no effect on it.

  Args:
    data_dir: folder of a data set.
    split: a split or subset, or a slice of one, such as `"train[:3584]"`.
    clip: parts of each clip to read.
    augmentation: random changes. None disables them and uses the centre crop; only the windows are
      random then.
    batch_size: clips per batch of this worker.
    seed: seed of all random choices.
    first_step: number of the first batch, to resume at.
    sampling: `"independent"` draws each clip with replacement. `"shuffle"` uses each clip once per
      pass; with a memory bank, networks can then distinguish positives from negatives by the age of
      their rows. `"video"` uses each source video at most once per pass and never twice in a batch,
      and draws one of its clips.
    num_workers: number of workers that share a global batch of `num_workers * batch_size`.
    worker: number of this worker, which reads positions from `worker * batch_size` on.
    num_threads: threads of this data set; None lets tf.data choose.
    group_size: for `"video"`, number of consecutive clips from different videos; None uses the size
      of the global batch.
    all_labels: whether batches include `LABELS`.

  Returns:
    Batches as described in `avssl_tf.keys`: `VIDEO` uint8 `[B, T, H, W, 3]`, `AUDIO` float32
    `[B, samples, channels]`, `INDEX` int64 `[B]` (position in the split, subset or slice), `LABEL`
    int64 `[B]`, `KEY` string `[B]`. Records without video give no `VIDEO`, records without audio no
    `AUDIO`. Batches of 360° clips have further entries, which are listed there.

  Raises:
    MissingFileError: the data set or some of its files are missing.
    UserError: the split does not exist or has fewer clips (for `"video"`, fewer videos) than the
      global batch, the records do not match `clip`, or an argument is out of range.

  Examples:
    >>> import tempfile
    >>> from avssl_tf.data import Augmentation, ClipSpec, training_dataset
    >>> from avssl_tf.data.building import build, demo
    >>> from avssl_tf.data.synthetic.planar import PlanarWorld
    >>> folder = tempfile.TemporaryDirectory()
    >>> recipe = demo.recipe(PlanarWorld(num_train=4, num_test=2), num_shards=1)
    >>> _ = build.build(recipe, folder.name, num_workers=0)
    >>> clip = ClipSpec(num_frames=8, frame_rate_hz=8, frame_size=40, audio_sec=1.0)
    >>> dataset = training_dataset(folder.name, "train", clip, Augmentation(), batch_size=4)
    >>> {key: tuple(value.shape) for key, value in next(iter(dataset)).items()}
    {'audio': (4, 8000, 1), 'video': (4, 8, 40, 40, 3), 'index': (4,), 'label': (4,), 'key': (4,)}
    >>> folder.cleanup()
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
  """One pass over a split, in the order of the records, without randomness.

  A single window is at the middle of the clip. Several windows are spread evenly from its start to
  its end and are consecutive in the batches. Frames show the centre of the image, the same as
  resizing the short side to `frame_size * 256 / 224` and cropping the central `frame_size` pixels.
  With `ClipSpec.whole_picture` they show the whole image.

  Args:
    data_dir: folder of a data set.
    split: a split or subset, or a slice of one, such as `"test[:1000]"`.
    clip: parts of each clip to read.
    batch_size: windows per batch; the last batch may have fewer.
    windows_per_clip: number of windows of each clip.
    num_threads: threads of this data set; None lets tf.data choose.
    turn_sound: for viewpoints of 360° clips, whether to rotate the audio of each clip to the left
      by a separate angle, out of line with the video. The viewpoints do not change.
    max_records: maximum number of records, selected to represent the whole split (see
      `dataset_info.sample_positions`); None uses all.
    random_seed: draws random windows. Windows, viewpoints and rotations are then a function of this
      seed, the record and the window. None spreads the windows evenly.
    all_labels: whether batches include `LABELS`.

  Returns:
    Batches as in `training_dataset`. Without `random_seed`, `ClipSpec.boxes` adds `BOXES`, and
    panoramas have `SOURCES`.

  Raises:
    MissingFileError: the data set or some of its files are missing.
    UserError: the split does not exist or is empty, the records do not match `clip`, or an argument
      is out of range.

  Examples:
    >>> import tempfile
    >>> from avssl_tf.data import ClipSpec, evaluation_dataset
    >>> from avssl_tf.data.building import build, demo
    >>> from avssl_tf.data.synthetic.planar import PlanarWorld
    >>> folder = tempfile.TemporaryDirectory()
    >>> recipe = demo.recipe(PlanarWorld(num_train=4, num_test=2), num_shards=1)
    >>> _ = build.build(recipe, folder.name, num_workers=0)
    >>> clip = ClipSpec(num_frames=8, frame_rate_hz=8, frame_size=40, audio_sec=1.0)
    >>> dataset = evaluation_dataset(folder.name, "test", clip, batch_size=3, windows_per_clip=2)
    >>> [batch["index"].numpy().tolist() for batch in dataset]
    [[0, 0, 1], [1]]
    >>> folder.cleanup()
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
    # The viewpoints of a clip are always the same and differ between clips.
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
        f"{duration_sec:g} s: use shorter windows, or build records of longer clips."
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
      f"has only {reader.num_records} clips: lower the batch size."
    )


def _drawing(
  reader: RecordReader, split: str, seed: int, sampling: str, group_size: int
) -> Callable[[Tensor, Tensor], Tensor]:
  """Returns a function that maps the random number and the number of an element to its record."""
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

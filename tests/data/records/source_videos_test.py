"""Tests of drawing clips by their source video."""

import collections
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets, draws
from avssl_tf.data.records import dataset_info, source_videos
from avssl_tf.training import training_data
from tests import test_base, two_replicas
from tests.data import toy_records
from tests.data.toy_records import merge, take

# Number of clips of each video, as unequal as in YT-360. Clips of a video are adjacent.
_CLIPS = (1, 40, 2, 1, 7, 3, 1, 25, 2, 1, 5)
_VIDEO_OF_CLIP = np.repeat(np.arange(len(_CLIPS)), _CLIPS)


def _info(ids, source="folder", subsets=None):
  shard = dataset_info.Shard("a.tfrecord", list(range(len(ids))), list(ids), [-1] * len(ids))
  return dataset_info.DatasetInfo(
    "test", {"train": [shard]}, 16.0, [8, 8], 1000, 1, 1.0, build={"source": source},
    subsets=subsets or {},
  )  # fmt: skip


def _stream(num_elements, group_size, seed=0, clips=_CLIPS):
  """Positions of the first records of a stream that draws videos."""
  videos = np.repeat(np.arange(len(clips)), clips)
  table = source_videos.of_split(_info([f"v{video}@0" for video in videos]), "train")
  records, starts = tf.constant(table.records), tf.constant(table.starts)

  def draw(element):
    uniform = tf.random.stateless_uniform([], [seed, element], dtype=tf.float64)
    return draws.draw_record_of_video(uniform, element, records, starts, group_size, seed)

  elements = tf.data.Dataset.range(num_elements).map(draw).batch(num_elements)
  return next(iter(elements)).numpy()


def _oracle(num_groups, group_size, rng, clips=_CLIPS):
  """Reference with lists: the videos are shuffled again when less than a group is left."""
  first = np.cumsum([0, *clips])
  deck, found = [], []
  for _ in range(num_groups):
    if len(deck) < group_size:
      deck = list(rng.permutation(len(clips)))
    for _ in range(group_size):
      video = deck.pop()
      found.append(first[video] + rng.integers(clips[video]))
  return np.array(found)


class NamesTest(test_base.TestCase):
  def test_files_are_videos_and_those_of_yt360_segments_of_one(self):
    for source, example_id, expected in (
      ("folder", "street/a.mp4@0.000", "street/a.mp4"),
      ("folder", "street/a.mp4@1230.000", "street/a.mp4"),
      ("folder", "mail@home-54.mp4@10.000", "mail@home-54.mp4"),
      ("yt360", "x7_-Q-54.mp4@0.000", "x7_-Q"),
      ("yt360", "part1/x7_-Q-8.webm@0.000", "x7_-Q"),
      ("yt360", "-a-1-2-30.mp4@0.000", "-a-1-2"),
      ("yt360", "odd.mp4@0.000", "odd.mp4"),
      ("", "clip3", "clip3"),
    ):
      self.assertEqual(source_videos.video_of(example_id, source), expected)

  def test_records_by_video(self):
    ids = ["b-1.mp4@0.000", "a-7.mp4@0.000", "b-20.mp4@0.000", "c-0.mp4@0.000", "b-1.mp4@10.000"]
    table = source_videos.of_split(_info(ids, "yt360"), "train")
    self.assertAllEqual(table.records, [0, 2, 4, 1, 3])
    self.assertAllEqual(table.starts, [0, 3, 4, 5])
    self.assertEqual(table.num_videos, 3)

  def test_of_slices_and_subsets_positions_are_those_within_them(self):
    ids = ["a@0", "b@0", "a@1", "c@0", "b@1"]
    info = _info(ids, subsets={"some": dataset_info.Subset("train", [1, 3, 4])})
    table = source_videos.of_split(info, "train[1:4]")
    self.assertAllEqual(table.records, [0, 1, 2])
    table = source_videos.of_split(info, "some")
    self.assertAllEqual(table.records, [0, 2, 1])
    self.assertAllEqual(table.starts, [0, 2, 3])


class DrawTest(test_base.TestCase):
  def test_no_video_twice_in_a_pass_of_whole_groups(self):
    for group_size in (1, 3, 4, 5, 6, 11):
      per_pass = len(_CLIPS) // group_size * group_size
      drawn = _VIDEO_OF_CLIP[_stream(40 * per_pass, group_size)].reshape(40, per_pass)
      for one_pass in drawn:
        self.assertLen(set(one_pass), per_pass)
      if group_size > 1:
        self.assertNotAllEqual(drawn[0], drawn[1])

  def test_distribution_is_that_of_the_oracle(self):
    group_size, num_groups = 4, 6000
    found = _stream(num_groups * group_size, group_size)
    expected = _oracle(num_groups, group_size, np.random.default_rng(0))
    # Clips of a video are equally frequent, within five standard deviations.
    probability = 1 / (len(_CLIPS) * np.array(_CLIPS)[_VIDEO_OF_CLIP])
    mean = num_groups * group_size * probability
    for drawn in (found, expected):
      counts = np.bincount(drawn, minlength=len(_VIDEO_OF_CLIP))
      self.assertAllLess(np.abs(counts - mean) / np.sqrt(mean), 5.0)
    # Pairs of videos in a group are equally frequent.
    pairs = [
      collections.Counter(
        pair
        for group in np.sort(_VIDEO_OF_CLIP[drawn].reshape(num_groups, group_size), axis=1)
        for pair in ((a, b) for i, a in enumerate(group) for b in group[i + 1 :])
      )
      for drawn in (found, expected)
    ]
    mean = num_groups * 6 / 55
    for counts in pairs:
      self.assertLen(counts, 55)
      differences = np.array([count - mean for count in counts.values()])
      self.assertAllLess(np.abs(differences) / np.sqrt(mean), 5.0)

  def test_depends_on_the_seed(self):
    self.assertAllEqual(_stream(60, 4, seed=3), _stream(60, 4, seed=3))
    self.assertNotAllEqual(_stream(60, 4, seed=3), _stream(60, 4, seed=4))


class PipelineTest(test_base.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data_dir = folder.name
    stored = [
      toy_records.record(index, media_id=f"video{video}", start_sec=index)
      for index, video in enumerate(np.repeat(np.arange(9), [1, 6, 2, 1, 5, 1, 3, 1, 2]))
    ]
    toy_records.write(cls.data_dir, [stored[:4], stored[4:]])

  def training(self, batch_size=4, **more):
    return datasets.training_dataset(
      self.data_dir, "train", toy_records.CLIP, datasets.Augmentation(), batch_size,
      seed=5, sampling="video", **more,
    )  # fmt: skip

  def test_batches_hold_clips_of_different_videos(self):
    data = take(self.training(), 10)
    videos = np.array([key.partition(b"@")[0] for key in data[keys.KEY]]).reshape(10, 4)
    for batch in videos:
      self.assertLen(set(batch), 4)
    self.assertLen(set(videos.ravel()), 9)
    # Rows of memory banks are positions of records.
    starts = [int(float(key.partition(b"@")[2])) for key in data[keys.KEY]]
    self.assertAllEqual(data[keys.INDEX], starts)

  def test_resumed_it_is_the_same_stream(self):
    whole = take(self.training(), 7)
    for first in (1, 2, 5):
      rest = take(self.training(first_step=first), 7 - first)
      for key, value in rest.items():
        self.assertAllEqual(value, whole[key][first * 4 :])

  def test_workers_share_the_batches_of_one(self):
    whole = take(self.training(batch_size=6), 5)
    parts = [take(self.training(3, num_workers=2, worker=n), 5)[keys.KEY] for n in range(2)]
    joined = np.concatenate([part.reshape(5, 3) for part in parts], axis=1)
    self.assertAllEqual(joined.ravel(), whole[keys.KEY])

  def test_replicas_share_the_batches_of_one(self):
    def batches(strategy):
      data = training_data.TrainingData(
        self.data_dir, "train", toy_records.CLIP, None, 6, 1, strategy, "video"
      )
      return iter(data.batches(2, "video", 7))

    one, both = batches(tf.distribute.get_strategy()), batches(two_replicas.strategy())
    for _ in range(3):
      expected = next(one)[keys.KEY]
      parts = two_replicas.strategy().experimental_local_results(next(both)[keys.KEY])
      self.assertLen(parts, 2)
      self.assertAllEqual(tf.concat(parts, axis=0), expected)
      self.assertLen({key.partition(b"@")[0] for key in expected.numpy()}, 6)

  def test_a_part_of_a_batch_is_a_part_of_it(self):
    strategy = tf.distribute.get_strategy()
    data = training_data.TrainingData(
      self.data_dir, "train", toy_records.CLIP, None, 8, 2, strategy, "video"
    )
    # Nine videos, twice.
    self.assertEqual((data.num_videos, data.steps_per_epoch), (22, 2))
    batch = merge(data.batches(3, "video", 7).take(1).as_numpy_iterator())
    first = data.first_clips(3, "video", 7, max_clips=5)
    self.assertAllEqual(first[keys.KEY], batch[keys.KEY][:4])

  def test_fewer_videos_than_a_batch_has_clips(self):
    message = "A batch needs 10 clips from different videos, .* 'train' come from only 9 videos"
    with self.assertRaisesRegex(ValueError, message):
      self.training(batch_size=10)
    with self.assertRaisesRegex(ValueError, message):
      self.training(batch_size=5, num_workers=2)
    with self.assertRaisesRegex(ValueError, message):
      training_data.TrainingData(
        self.data_dir, "train", toy_records.CLIP, None, 10, 1, tf.distribute.get_strategy(), "video"
      )


if __name__ == "__main__":
  tf.test.main()

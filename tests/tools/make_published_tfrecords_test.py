"""Tests of building records of published data sets, from miniatures of them in their layouts."""

import csv
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from absl.testing import absltest

from avssl_tf.data.checks import survey
from avssl_tf.data.dataset_info import DatasetInfo
from tests import media_variants, source_tree
from tests.data.sources import source_case

_LABELS = ("Archery", "YoYo")


class PublishedDataSetsTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.root = os.path.join(folder.name, "input")
    self.output = os.path.join(folder.name, "data")

  def build(self, source, *arguments):
    """Builds records of `self.root`; returns what was printed and the description of the data."""
    process = subprocess.run(
      [
        sys.executable, str(source_tree.ROOT / "tools" / "make_tfrecords.py"),
        f"--source={source}", f"--input_dir={self.root}", f"--output_dir={self.output}",
        "--num_workers=0", *arguments,
      ],
      capture_output=True, text=True, check=False,
    )  # fmt: skip
    self.assertEqual(process.returncode, 0, process.stderr)
    return process.stdout, DatasetInfo.load(self.output)

  def write_media(self, name, pictures=True, sound=True, duration_sec=2.5, **options):
    """Writes a real media file below `self.root`."""
    path = os.path.join(self.root, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    times = media_variants.regular_times(8, end_sec=duration_sec)
    media_variants.write_media(
      path,
      media_variants.pictures_at(times) if pictures else None,
      media_variants.sine(duration_sec) if sound else None,
      **options,
    )
    return path

  def failures(self):
    """Paths of what the build could not use."""
    with open(os.path.join(self.output, "failures.jsonl"), encoding="utf-8") as f:
      return [json.loads(line)["path"] for line in f]

  def test_kinetics_with_a_clip_whose_link_is_dead(self):
    header = "label,youtube_id,time_start,time_end,split\n"
    rows = {"train": ["zumba,-_aVideo-01,0,10", "zumba,-_aVideo-01,10,20"],
            "val": ["zumba,-_aVideo-02,20,30"]}  # fmt: skip
    for split, lines in rows.items():
      lines = "".join(f"{line},{split}\n" for line in lines)
      source_case.write_files(self.root, {f"annotations/{split}.csv": header + lines})
    self.write_media("train/zumba/-_aVideo-01_000000_000010.mp4")
    self.write_media("val/zumba/-_aVideo-02_000020_000030.mp4")
    printed, info = self.build("kinetics", "--short_side=32", "--max_failure_rate=0.34")
    self.assertIn("1 of 3 clips listed (33.3%) have no file", printed)
    self.assertIn("--gin_file=gin/scale/kinetics400.gin", printed)
    dead = os.path.join(self.root, "train", "-_aVideo-01_000010_000020.mp4")
    self.assertEqual(self.failures(), [dead])
    self.assertEqual(info.modalities, ["video", "audio"])
    self.assertEqual(info.records("train").ids, ["train/zumba/-_aVideo-01_000000_000010.mp4@0.000"])
    self.assertEqual(info.records("validation").labels.tolist(), [0])

  def test_ucf101_with_and_without_sound(self):
    lists = {"classInd.txt": "".join(f"{n + 1} {name}\n" for n, name in enumerate(_LABELS))}
    videos = [f"{label}/v_{label}_g0{group}_c01.avi" for label in _LABELS for group in (1, 2, 3)]
    for fold in (1, 2, 3):
      of_fold = {video: f"_g0{fold}_" in video for video in videos}
      lists[f"trainlist0{fold}.txt"] = "".join(
        f"{video} {_LABELS.index(video.split('/')[0]) + 1}\n" for video in videos
        if not of_fold[video]
      )  # fmt: skip
      lists[f"testlist0{fold}.txt"] = "".join(f"{v}\n" for v in videos if of_fold[v])
    source_case.write_files(self.root, {f"ucfTrainTestlist/{n}": text for n, text in lists.items()})
    for number, video in enumerate(videos):
      self.write_media(
        f"UCF-101/{video}", sound=number % 2 == 0, duration_sec=1.0 if number else 4.0,
        video_codec="mpeg4", audio_codec="pcm_s16le",
      )  # fmt: skip
    printed, info = self.build("ucf101", "--short_side=32", "--num_shards=4")
    self.assertIn("avssl_tf.evaluate --task=finetune", printed)
    self.assertEmpty(self.failures())
    self.assertEqual(info.modalities, ["video"])
    self.assertEqual(list(info.splits), ["all"])
    self.assertEqual(info.label_names, list(_LABELS))
    # One record a file, also of the long one.
    self.assertCountEqual(info.records("all").ids, [f"{video}@0.000" for video in videos])
    self.assertCountEqual(info.records("test2").ids, [f"{videos[1]}@0.000", f"{videos[4]}@0.000"])
    self.assertCountEqual(info.records("train1").labels.tolist(), [0, 0, 1, 1])
    self.assertTrue(info.is_shuffled)
    found = survey(self.output, info, num_samples=6)
    self.assertEmpty(found.problems)
    self.assertLen(found.samples, 6)

  def test_rec_street_as_the_authors_preprocess_it(self):
    ids = ("-ab_cdEFG12", "taARyMZcFJM", "cA88rNC2uuM", "_ngX6cQrmto")
    for fold in (1, 2, 3):
      lists = {"train": [i for i in ids if i != ids[fold - 1]], "test": [ids[fold - 1]]}
      source_case.write_files(
        self.root,
        {f"meta/subsets/REC-Street.{n}.{fold}.lst": "\n".join(i) for n, i in lists.items()},
      )
    frame = np.zeros([64, 128, 3], np.uint8)
    frame[20:40, 30:60] = (200, 100, 50)
    field = np.random.default_rng(0).uniform(-0.3, 0.3, [4, 120_000]).astype(np.float32)
    field[2] = 0  # No Z.
    folder = os.path.join(self.root, "data", "preproc")
    os.makedirs(folder)
    for video_id in ids[:3]:  # The last link is dead.
      media_variants.write_media(
        os.path.join(folder, f"{video_id}-video.mp4"), [(i / 10, frame) for i in range(25)], None
      )
      media_variants.write_media(
        os.path.join(folder, f"{video_id}-ambix.wav"), None, field, layout="4.0",
        audio_codec="pcm_s16le", audio_rate_hz=48000,
      )  # fmt: skip
    printed, info = self.build(
      "rec_street", "--short_side=32", "--clip_duration_sec=1", "--min_duration_sec=1",
      "--max_failure_rate=0.3", "--flow",
    )  # fmt: skip
    self.assertIn("--gin_file=gin/spatial_audio.gin --gin_file=gin/scale/rec_street.gin", printed)
    self.assertIn("1 of 4 clips listed (25.0%) have no file", printed)
    self.assertEqual(self.failures(), [os.path.join(folder, f"{ids[3]}-video.mp4")])
    self.assertEqual((info.frame_rate_hz, info.sample_rate_hz), (10.0, 48000))
    self.assertEqual((info.frame_size, info.num_channels, info.flow), ([32, 64], 4, True))
    # Two clips a video.
    self.assertCountEqual(
      info.records("test1").ids, [f"{ids[0]}-video.mp4@{s}.000" for s in (0, 1)]
    )
    counts = [info.num_clips(f"{n}{fold}") for fold in (1, 2, 3) for n in ("train", "test")]
    self.assertEqual(counts, [4, 2] * 3)
    found = survey(self.output, info, num_samples=6)
    self.assertEmpty(found.problems)
    for clip in found.samples:
      first = round(48000 * float(clip.example_id.rpartition("@")[2]))
      np.testing.assert_allclose(clip.waveform, field.T[first : first + 48000], atol=1e-4)

  def test_esc50(self):
    rows = [
      (f"{fold}-1-A-{target}.wav", fold, target, name, False, 1, "A")
      for fold in range(1, 6) for target, name in enumerate(("rooster", "dog"))
    ]  # fmt: skip
    source_case.write_files(self.root, {"meta/esc50.csv": "", "LICENSE": ""})
    with open(os.path.join(self.root, "meta", "esc50.csv"), "w", newline="", encoding="utf-8") as f:
      csv.writer(f).writerows(["filename fold target category esc10 src_file take".split(), *rows])
    for name, *_ in rows:
      self.write_media(
        f"audio/{name}", pictures=False, duration_sec=1.0, audio_codec="pcm_s16le",
        audio_rate_hz=44100,
      )  # fmt: skip
    printed, info = self.build("esc50", "--sample_rate_hz=8000")
    self.assertIn("avssl_tf.evaluate --task=audio_svm", printed)
    self.assertEqual(info.modalities, ["audio"])
    self.assertCountEqual(info.records("all").labels.tolist(), [0, 1] * 5)
    self.assertCountEqual(info.records("fold4").ids, ["4-1-A-0.wav@0.000", "4-1-A-1.wav@0.000"])
    found = survey(self.output, info, num_samples=10)
    self.assertEmpty(found.problems)
    for clip in found.samples:
      self.assertEqual(clip.waveform.shape, (8000, 1))
      self.assertGreater(np.std(clip.waveform), 0.1)


if __name__ == "__main__":
  absltest.main()

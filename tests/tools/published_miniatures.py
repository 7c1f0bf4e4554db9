"""Miniatures of published data sets, in the layouts in which they are unpacked, with real media."""

import csv
import os

import numpy as np

from tests import media_variants
from tests.data.sources import source_case

LABELS = ("Archery", "YoYo")


def write_clip(
  root: str, name: str, pictures: bool = True, sound: bool = True, duration_sec=2.5, **options
) -> str:
  """Writes a media file by its name relative to `root`, with forward slashes; returns its path."""
  path = os.path.join(root, *name.split("/"))
  os.makedirs(os.path.dirname(path), exist_ok=True)
  times = media_variants.regular_times(8, end_sec=duration_sec)
  media_variants.write_media(
    path,
    media_variants.pictures_at(times) if pictures else None,
    media_variants.sine(duration_sec) if sound else None,
    **options,
  )
  return path


def folder(root: str, splits=("train", "test")) -> None:
  """Own videos: two of each of two classes a split."""
  for number, split in enumerate(splits):
    for label in LABELS:
      for n in range(2):
        write_clip(root, f"{split}/{label}/{label}-{number}-{n}.mp4")


def folder_360(root: str) -> None:
  """Own 360° videos with ambisonics, without classes."""
  for split, count in (("train", 4), ("test", 2)):
    for n in range(count):
      _write_360(os.path.join(root, split), f"{split}-{n}.mp4")


def manifest(root: str, split: str = "") -> str:
  """Own videos in a list, all of one split; returns the path of the list."""
  rows = ["path,label,split"]
  for n in range(6):
    name = f"video {n}.mp4"
    write_clip(root, name)
    rows.append(f"{name},{LABELS[n % 2]},{split}")
  source_case.write_files(root, {"clips.csv": "\n".join(rows)})
  return os.path.join(root, "clips.csv")


def kinetics(root: str, splits=(("train", 4), ("val", 2))) -> None:
  """Kinetics: clips in folders of the splits and classes."""
  number = 0
  for split, count in splits:
    lines = "label,youtube_id,time_start,time_end,split\n"
    for n in range(count):
      video, number = f"video-{number:05d}", number + 1
      lines += f"{LABELS[n % 2]},{video},0,10,{split}\n"
      write_clip(root, f"{split}/{LABELS[n % 2]}/{video}_000000_000010.mp4")
    source_case.write_files(root, {f"annotations/{split}.csv": lines})


def audioset(root: str) -> None:
  """AudioSet: clips of two classes, one of them with both."""
  names = ["index,mid,display_name", '0,/m/0,"Speech"', '1,/m/1,"Guitar, bass"']
  header = "# Segments csv\n# num_ytids=4\n# YTID, start_seconds, end_seconds, positive_labels\n"
  lists = {"class_labels_indices.csv": "\n".join(names)}
  number = 0
  for split, count in (("balanced_train", 4), ("eval", 2)):
    lines = header
    for n in range(count):
      video, number = f"video-{number:05d}", number + 1
      labels = "/m/0,/m/1" if n == 2 else f"/m/{n % 2}"
      lines += f'{video}, 30.000, 40.000, "{labels}"\n'
      write_clip(root, f"{split}/{video}_30_40.mp4")
    lists[f"{split}_segments.csv"] = lines
  source_case.write_files(root, lists)


def yt360(root: str) -> None:
  """YT-360: six videos of one segment, the sound in files of its own."""
  ids = [f"video-{n:05d}" for n in range(6)]
  source_case.write_files(root, {
    "train.txt": "\n".join(ids[:4]), "test.txt": "\n".join(ids[4:]),
    "segments.txt": "\n".join(f"{video_id} 30" for video_id in ids),
  })  # fmt: skip
  for video_id in ids:
    _write_360(os.path.join(root, "video"), f"{video_id}-30.mp4", sound=False)
    _write_ambisonics(os.path.join(root, "audio"), f"{video_id}-30.wav")


def spatial_audio_set(root: str, name: str) -> list[str]:
  """REC-Street and its like, as their authors preprocess them; returns the ids of the videos.

  The first is what fold 1 tests on, and so on; the fourth is never tested on. Z is zero.
  """
  ids = ["-ab_cdEFG12", "taARyMZcFJM", "cA88rNC2uuM", "_ngX6cQrmto"]
  for fold in (1, 2, 3):
    lists = {"train": [i for i in ids if i != ids[fold - 1]], "test": [ids[fold - 1]]}
    source_case.write_files(
      root, {f"meta/subsets/{name}.{part}.{fold}.lst": "\n".join(i) for part, i in lists.items()}
    )
  preprocessed = os.path.join(root, "data", "preproc")
  for video_id in ids:
    _write_360(preprocessed, f"{video_id}-video.mp4", sound=False)
    _write_ambisonics(preprocessed, f"{video_id}-ambix.wav")
  return ids


def ucf101(root: str) -> list[str]:
  """UCF-101: three groups of each of two classes, one a fold, half of the videos without sound.

  Returns:
    The names of the videos.
  """
  lists = {"classInd.txt": "".join(f"{n + 1} {name}\n" for n, name in enumerate(LABELS))}
  videos = [f"{label}/v_{label}_g0{group}_c01.avi" for label in LABELS for group in (1, 2, 3)]
  for fold in (1, 2, 3):
    of_fold = {video: f"_g0{fold}_" in video for video in videos}
    lists[f"trainlist0{fold}.txt"] = "".join(
      f"{video} {LABELS.index(video.split('/')[0]) + 1}\n" for video in videos if not of_fold[video]
    )
    lists[f"testlist0{fold}.txt"] = "".join(f"{v}\n" for v in videos if of_fold[v])
  source_case.write_files(root, {f"ucfTrainTestlist/{n}": text for n, text in lists.items()})
  for number, video in enumerate(videos):
    write_clip(
      root, f"UCF-101/{video}", sound=number % 2 == 0, duration_sec=1.0 if number else 4.0,
      video_codec="mpeg4", audio_codec="pcm_s16le",
    )  # fmt: skip
  return videos


def hmdb51(root: str) -> None:
  """HMDB-51: three videos of each of two classes; each fold tests on one of them."""
  for label in LABELS:
    videos = [f"film_{label}_{n}.avi" for n in (1, 2, 3)]
    for fold in (1, 2, 3):
      lines = [f"{video} {2 if n == fold else 1}" for n, video in enumerate(videos, 1)]
      name = f"testTrainMulti_7030_splits/{label}_test_split{fold}.txt"
      source_case.write_files(root, {name: "\n".join(lines)})
    for video in videos:
      write_clip(root, f"{label}/{video}", sound=False, duration_sec=1.0, video_codec="mpeg4")


def esc50(root: str) -> list[str]:
  """ESC-50: a sound of each of two classes in each of five folds; returns their names."""
  rows = [
    (f"{fold}-1-A-{target}.wav", fold, target, name, False, 1, "A")
    for fold in range(1, 6) for target, name in enumerate(("rooster", "dog"))
  ]  # fmt: skip
  os.makedirs(os.path.join(root, "meta"), exist_ok=True)
  with open(os.path.join(root, "meta", "esc50.csv"), "w", newline="", encoding="utf-8") as f:
    csv.writer(f).writerows(["filename fold target category esc10 src_file take".split(), *rows])
  for name, *_ in rows:
    _write_sound(root, f"audio/{name}")
  return [name for name, *_ in rows]


def dcase(root: str) -> None:
  """The scenes of DCASE 2013: two recordings of each of two scenes, to train and to test."""
  for part in ("scenes_stereo", "scenes_stereo_testset"):
    for scene in ("bus", "park"):
      for n in (1, 2):
        _write_sound(root, f"{part}/{scene}{n:02d}.wav")


def _write_sound(root: str, name: str) -> None:
  write_clip(
    root, name, pictures=False, duration_sec=1.0, audio_codec="pcm_s16le", audio_rate_hz=44100
  )


def _write_360(directory: str, name: str, sound: bool = True) -> None:
  """Writes equirectangular pictures of 2.5 s at 10 Hz, with ambisonics where `sound`."""
  os.makedirs(directory, exist_ok=True)
  frame = np.zeros([64, 128, 3], np.uint8)
  frame[20:40, 30:60] = (200, 100, 50)
  options = dict(layout="4.0", audio_codec="aac", audio_rate_hz=48000) if sound else {}
  media_variants.write_media(
    os.path.join(directory, name), [(i / 10, frame) for i in range(25)],
    ambisonics() if sound else None, **options,
  )  # fmt: skip


def _write_ambisonics(directory: str, name: str) -> None:
  os.makedirs(directory, exist_ok=True)
  media_variants.write_media(
    os.path.join(directory, name), None, ambisonics(), layout="4.0", audio_codec="pcm_s16le",
    audio_rate_hz=48000,
  )  # fmt: skip


def ambisonics() -> np.ndarray:
  """Noise from everywhere, without Z: float32 `[4, 120000]`, 2.5 s at 48 kHz."""
  field = np.random.default_rng(0).uniform(-0.3, 0.3, [4, 120_000]).astype(np.float32)
  field[2] = 0
  return field


def delete(root: str, name: str) -> str:
  """Deletes a file of a miniature, as dead links leave it; returns its path."""
  path = os.path.join(root, *name.split("/"))
  os.remove(path)
  return path

"""Makes files with the installed set of packages, which tests then read with both sets.

  python -c "from tests import files_of_a_set as f; f.make('tests/testdata/tensorflow-2.15.zip')"

The archive contains records, a run after two epochs with its SavedModel, an embedding file, and in
expected.npz what this set computes: embeddings of the test split, and the losses of a third epoch.
"""

import os
import shutil
import tempfile

import gin
import numpy as np

from avssl_tf import data, inference
from avssl_tf.training import loading, metrics, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import command, media_variants

_GIN = """
include "gin/avid_cma.gin"
PlanarWorld.num_train = 16
PlanarWorld.num_test = 8
batch_size = 8
num_epochs = 2
train.clips_per_video = 2
train.log_every_steps = 1
train.batch_pictures = 0
train.optimizer = @optimizers.LAMB
ClipSpec.num_frames = 2
ClipSpec.frame_size = 16
ClipSpec.audio_sec = 0.5
R2Plus1D.depth = 6
R2Plus1D.stage_widths = (4, 4, 4, 4)
AudioNet.stage_widths = (4, 4, 4, 4)
MLPHead.widths = (8, 4)
AVID.num_negatives = 8
CMA.num_negatives = 8
CMA.num_positives = 4
CMA.warmup_epochs = 1
Probe.c_grid = (0.1,)
"""


def third_epoch(folder: str) -> dict[str, np.ndarray]:
  """Resumes the run in a folder of such files for an epoch; returns its losses by name."""
  model_dir = os.path.join(folder, "run")
  configuration.parse_operative(model_dir)
  with gin.unlock_config():
    gin.bind_parameter("train.data_dir", os.path.join(folder, "data"))
    gin.bind_parameter("train.num_epochs", 3)
  trainer.train(model_dir=model_dir, strategy=strategies.create())
  gin.clear_config()
  log = [line for line in metrics.read(os.path.join(model_dir, "metrics.jsonl")) if "loss" in line]
  last = [line for line in log if line["step"] > 2 / 3 * log[-1]["step"]]
  return {name: np.array([line[name] for line in last]) for name in last[0] if "loss" in name}


def embeddings(model_dir: str, data_dir: str) -> dict[str, np.ndarray]:
  """Embeddings of the test split by a run or a SavedModel, by modality."""
  encoder = loading.load(model_dir).encoder
  clips = data.evaluation_dataset(data_dir, "test", encoder.clip, batch_size=4)
  features = inference.extract(encoder, clips)
  return {"video": features.video_embeddings, "audio": features.audio_embeddings}


def embed_media(folder: str, output: str) -> str:
  """Embeds the media files with the SavedModel, into a file; returns its path."""
  command.output_of(
    "-m", "avssl_tf.apply", "embed", f"--model_dir={folder}/run/saved_model",
    f"--input={folder}/media", f"--output={output}",
  )  # fmt: skip
  return output


def _make_files(folder: str) -> None:
  gin_file = os.path.join(folder, "tiny.gin")
  with open(gin_file, "w", encoding="utf-8") as f:
    f.write(_GIN)
  flags = [f"--gin_file={gin_file}"]
  command.output_of(
    "tools/make_tfrecords.py", "--source=demo", f"--output_dir={folder}/data", "--num_workers=0",
    *flags,
  )  # fmt: skip
  command.output_of(
    "-m", "avssl_tf.train", *flags, f'--gin_param=data_dir="{folder}/data"',
    f"--model_dir={folder}/run",
  )  # fmt: skip
  os.remove(gin_file)
  os.mkdir(os.path.join(folder, "media"))
  times = media_variants.regular_times(8, end_sec=2.0)
  frames = media_variants.pictures_at(times, 48, 64)
  media_variants.write_media(
    os.path.join(folder, "media", "clip.mp4"),
    [(t, frame) for t, (_, frame) in zip(times, frames)],
    media_variants.source_sound()[2:3, : 2 * 48000],
  )
  embed_media(folder, os.path.join(folder, "embeddings.npz"))
  expected = embeddings(os.path.join(folder, "run"), os.path.join(folder, "data"))
  # The run as it is now belongs into the archive.
  copy = os.path.join(folder, "copy")
  os.mkdir(copy)
  for name in ("data", "run"):
    shutil.copytree(os.path.join(folder, name), os.path.join(copy, name))
  expected.update(third_epoch(copy))
  shutil.rmtree(copy)
  for name in ("run/tensorboard", "run/saved_model/assets.extra/tf_serving_warmup_requests",
               "run/report.html", "data/.build"):  # fmt: skip
    path = os.path.join(folder, name)
    (shutil.rmtree if os.path.isdir(path) else os.remove)(path)
  np.savez_compressed(os.path.join(folder, "expected.npz"), **expected)


def make(path: str) -> None:
  """Makes the archive `path`."""
  with tempfile.TemporaryDirectory() as folder:
    _make_files(folder)
    shutil.make_archive(path.removesuffix(".zip"), "zip", folder)

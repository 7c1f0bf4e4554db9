"""Embeddings for TensorBoard's Embedding Projector, each point with a picture of its clip."""

import math
import os
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.files import whole_file
from avssl_tf.foreign_text import printable
from avssl_tf.report.clip_embeddings import ClipEmbeddings

# Names that TensorBoard looks for, and the folder of what they name.
CONFIG = "projector_config.pbtxt"
FOLDER = "projector"
# Browsers refuse larger textures.
MAX_SPRITE_SIZE = 8192
# Files of a fifth of the size of PNG, which do not look different.
_JPEG_QUALITY = 90

# A `ProjectorConfig` as text (tensorboard/plugins/projector/projector_config.proto); paths are
# relative to the folder that it lies in.
_EMBEDDING = """embeddings {{
  tensor_name: "{name}"
  tensor_path: "{folder}/{name}.tsv"
  metadata_path: "{folder}/{name}_metadata.tsv"
  sprite {{
    image_path: "{folder}/{name}_sprite.jpg"
    single_image_dim: {size}
    single_image_dim: {size}
  }}
}}
"""


def write(tensorboard_dir: str, clips: ClipEmbeddings) -> None:
  """Writes embeddings for the projector, in place of those that are there.

  There are a cloud of points for each modality and one of all together, called by the modalities
  (`video`, `audio`, `video_audio`). A point tells the id of its clip, the name of its class where
  there are any, and its modality, which points can be coloured by.

  The configuration is written last: a broken-off call leaves the projector as it was, or with new
  files under the names that it knew.

  Args:
    tensorboard_dir: folder with the curves of a run.
    clips: what to show.

  Raises:
    UserError: there are more clips than pictures fit into one that a browser takes.
  """
  modalities = list(clips.embeddings)
  clouds = {modality: [modality] for modality in modalities}
  if len(modalities) > 1:
    clouds["_".join(modalities)] = modalities
  sprites = {
    name: sprite(np.concatenate([clips.thumbnails[m] for m in parts]))
    for name, parts in clouds.items()
  }
  folder = os.path.join(tensorboard_dir, FOLDER)
  os.makedirs(folder, exist_ok=True)
  config = []
  for name, parts in clouds.items():
    with whole_file(os.path.join(folder, f"{name}.tsv")) as path:
      rows = np.concatenate([clips.embeddings[m] for m in parts])
      np.savetxt(path, rows, fmt="%.6g", delimiter="\t")
    with whole_file(os.path.join(folder, f"{name}_metadata.tsv")) as path:
      with open(path, "w", encoding="utf-8") as f:
        f.writelines("\t".join(map(_cell, row)) + "\n" for row in metadata(clips, parts))
    with whole_file(os.path.join(folder, f"{name}_sprite.jpg")) as path:
      with open(path, "wb") as f:
        f.write(tf.io.encode_jpeg(sprites[name], quality=_JPEG_QUALITY).numpy())
    size = clips.thumbnails[parts[0]].shape[1]
    config.append(_EMBEDDING.format(name=name, folder=FOLDER, size=size))
  with whole_file(os.path.join(tensorboard_dir, CONFIG)) as path:
    with open(path, "w", encoding="utf-8") as f:
      f.writelines(reversed(config))  # The last one, of all, is shown first.


def metadata(clips: ClipEmbeddings, modalities: Sequence[str]) -> list[list[str]]:
  """What is told of each point, by the modality and then by the clip, after a row of titles."""
  labels = clips.label_texts
  titles = ["id", *(["label"] if labels else []), "modality"]
  columns = [clips.ids, *([labels] if labels else [])]
  return [titles] + [[*row, m] for m in modalities for row in zip(*columns)]


def sprite(thumbnails: np.ndarray) -> np.ndarray:
  """Pictures in one, row by row from the upper left, about as wide as it is high.

  Args:
    thumbnails: uint8 `[N, S, S, 3]`.

  Returns:
    uint8 `[rows * S, columns * S, 3]`, columns the root of N rounded up; white where none is left.

  Raises:
    UserError: it would be larger than what a browser takes.
  """
  count, size = thumbnails.shape[:2]
  num_columns = math.ceil(math.sqrt(count))
  if num_columns * size > MAX_SPRITE_SIZE:
    raise UserError(
      f"{count} pictures of {size} x {size} pixels make one of {num_columns * size} a side; "
      f"expected at most {MAX_SPRITE_SIZE}: show at most {(MAX_SPRITE_SIZE // size) ** 2}."
    )
  num_rows = math.ceil(count / num_columns)
  result = np.full((num_rows * num_columns, size, size, 3), 255, np.uint8)
  result[:count] = thumbnails
  grid = result.reshape(num_rows, num_columns, size, size, 3).transpose(0, 2, 1, 3, 4)
  return grid.reshape(num_rows * size, num_columns * size, 3)


def _cell(text: str) -> str:
  """Text without the tabs and line ends that separate columns and rows."""
  return printable(re.sub(r"\s+", " ", text))

"""Embeddings for TensorBoard's Embedding Projector, with a thumbnail for each point."""

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

# Configuration file that TensorBoard reads, and the folder of its data.
CONFIG = "projector_config.pbtxt"
FOLDER = "projector"
# Browsers reject larger textures.
MAX_SPRITE_SIZE = 8192
# No visible loss, at a fifth of the size of PNG.
_JPEG_QUALITY = 90

# A `ProjectorConfig` as text (tensorboard/plugins/projector/projector_config.proto); paths are
# relative to the folder of the configuration.
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
  """Writes embeddings for the projector; replaces existing ones.

  There is one point cloud per modality, and one of all modalities (`video`, `audio`,
  `video_audio`). The metadata of a point are the id of its clip, its class name if there are
  labels, and its modality; they can be used to colour the points.

  The configuration is written last: after an interrupted call, the existing configuration is still
  valid.

  Args:
    tensorboard_dir: TensorBoard log folder of a run.
    clips: embeddings to write.

  Raises:
    UserError: the sprite image of all thumbnails would exceed the size limit of browsers.
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
      f.writelines(reversed(config))  # TensorBoard shows the first: that of all modalities.


def metadata(clips: ClipEmbeddings, modalities: Sequence[str]) -> list[list[str]]:
  """Metadata rows of the points, by modality and then by clip, after a header row."""
  labels = clips.label_texts
  titles = ["id", *(["label"] if labels else []), "modality"]
  columns = [clips.ids, *([labels] if labels else [])]
  return [titles] + [[*row, m] for m in modalities for row in zip(*columns)]


def sprite(thumbnails: np.ndarray) -> np.ndarray:
  """Arranges thumbnails in a nearly square sprite image, row by row from the upper left.

  Args:
    thumbnails: uint8 `[N, S, S, 3]`.

  Returns:
    uint8 `[rows * S, columns * S, 3]`, with columns = ceil(sqrt(N)); unused cells are white.

  Raises:
    UserError: the image would exceed the size limit of browsers.
  """
  count, size = thumbnails.shape[:2]
  num_columns = math.ceil(math.sqrt(count))
  if num_columns * size > MAX_SPRITE_SIZE:
    raise UserError(
      f"{count} thumbnails of {size} x {size} pixels require a sprite of {num_columns * size} "
      f"pixels per side; expected at most {MAX_SPRITE_SIZE}, for "
      f"{(MAX_SPRITE_SIZE // size) ** 2} thumbnails."
    )
  num_rows = math.ceil(count / num_columns)
  result = np.full((num_rows * num_columns, size, size, 3), 255, np.uint8)
  result[:count] = thumbnails
  grid = result.reshape(num_rows, num_columns, size, size, 3).transpose(0, 2, 1, 3, 4)
  return grid.reshape(num_rows * size, num_columns * size, 3)


def _cell(text: str) -> str:
  """Text without tabs and line breaks, which separate columns and rows."""
  return printable(re.sub(r"\s+", " ", text))

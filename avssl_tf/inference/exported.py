"""Loads SavedModels written by `serving.export`."""

import os
from typing import Any, Callable

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.inference import origin
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.serving import InputSpec
from avssl_tf.inference.trained import Trained, weights_of
from avssl_tf.keys import Tensor

_DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def is_saved_model(path: str) -> bool:
  """Whether `path` is the folder of a SavedModel."""
  return os.path.exists(os.path.join(path, tf.saved_model.SAVED_MODEL_FILENAME_PB))


def load(path: str) -> Trained:
  """Loads a SavedModel.

  Args:
    path: its folder.

  Raises:
    UserError: it was not written by `serving.export`.
  """
  spec = InputSpec.load(path)
  module = origin.load(path)
  # Only networks that generate sound fields take whole panoramas.
  functions = (
    {"generator": _generator(module, spec)}
    if spec.panorama
    else {"encoder": _encoder(module, spec, path)}
  )
  variables = os.path.join(path, tf.saved_model.VARIABLES_DIRECTORY)
  weights = weights_of(os.path.join(variables, tf.saved_model.VARIABLES_FILENAME))
  return Trained(path, spec.clip(), spec.sample_rate_hz, spec.num_channels, weights, **functions)


def _encoder(module: Any, spec: InputSpec, path: str) -> Encoder:
  embed_positions = _signature(module, "embed_video_positions", "video", path)

  def translate(features: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    outputs = module.signatures["translate"](
      **{f"{modality}_features": value for modality, value in features.items()}
    )
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in outputs.items():
      modality, _, kind = name.partition("_")
      found.setdefault(kind, {})[modality] = value
    return found

  return Encoder(
    clip=spec.clip(),
    sample_rate_hz=spec.sample_rate_hz,
    num_channels=spec.num_channels,
    embed_video=_embedding(module, "video", path),
    embed_audio=_embedding(module, "audio", path),
    video_maps=_signature(module, "video_maps", "video", path),
    audio_maps=_signature(module, "audio_maps", "audio", path),
    embed_video_positions=lambda frames: embed_positions(frames)["video_position_embeddings"],
    translate=translate if "translate" in module.signatures else None,
    make_model=None,
  )


def _signature(
  module: Any, name: str, modality: str, path: str
) -> Callable[[Tensor], dict[str, Tensor]]:
  """A signature with one input, resolved when called: old SavedModels lack some signatures."""

  def call(value: Tensor) -> dict[str, Tensor]:
    if name not in module.signatures:
      raise UserError(
        f"The SavedModel {path!r} has no signature {name!r}; it has {sorted(module.signatures)}. "
        "Export it again with this version (avssl_tf.export)."
      )
    return module.signatures[name](**{modality: value})

  return call


def _embedding(module: Any, modality: str, path: str) -> Callable[[Tensor], dict[str, Tensor]]:
  embed = _signature(module, f"embed_{modality}", modality, path)

  def call(value: Tensor) -> dict[str, Tensor]:
    outputs = embed(value)
    return {name: outputs[f"{modality}_{name}"] for name in ("features", "embedding")}

  return call


def _generator(module: Any, spec: InputSpec) -> Generator:
  inputs = list(module.signatures[_DEFAULT].structured_input_signature[1])

  def generate(batch: keys.Batch) -> Tensor:
    given = {**batch, keys.AUDIO: batch[keys.AUDIO][..., :1]}
    # Accessed through the module, which must outlive the signature.
    return module.signatures[_DEFAULT](**{name: given[name] for name in inputs})["field"]

  return Generator(spec.clip(), spec.sample_rate_hz, generate)

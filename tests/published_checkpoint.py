"""Weights with the names and the layout of a published checkpoint, and few channels."""

import numpy as np

EMBEDDING_DIM = 5


def _batch_norm(width):
  return {"weight": (width,), "bias": (width,), "running_mean": (width,), "running_var": (width,)}


def _shapes():
  """Names and shapes of a published state dict, depth 10, with few channels."""
  shapes = {
    "video_model.conv1.0.weight": (2, 3, 3, 7, 7),
    "audio_model.conv1.0.weight": (2, 1, 7, 7),
  }
  norms = {"video_model.conv1.1": 2, "audio_model.conv1.1": 2}
  before = 2
  for stage, width in enumerate((2, 3, 4, 6)):
    video, audio = f"video_model.conv{stage + 2}x", f"audio_model.block{stage + 1}"
    for i, width_before in ((1, before), (2, width)):
      shapes[f"{video}.spt_conv{i}.weight"] = (width, width_before, 1, 3, 3)
      shapes[f"{video}.tmp_conv{i}.weight"] = (width, width, 3, 1, 1)
      shapes[f"{audio}.conv{i}.weight"] = (width, width_before, 3, 3)
      norms.update({f"{video}.spt_bn{i}": width, f"{audio}.bn{i}": width})
    norms.update({f"{video}.tmp_bn1": width, f"{video}.out_bn": width})
    if stage:
      shapes[f"{video}.res_conv.weight"] = (width, before, 1, 1, 1)
    before = width
  for head in ("video_proj", "audio_proj"):
    shapes[f"{head}.projection.0.weight"], shapes[f"{head}.projection.0.bias"] = (7, 6), (7,)
    shapes[f"{head}.projection.2.weight"] = (EMBEDDING_DIM, 7)
    shapes[f"{head}.projection.2.bias"] = (EMBEDDING_DIM,)
  for name, width in norms.items():
    shapes.update({f"{name}.{part}": shape for part, shape in _batch_norm(width).items()})
    shapes[f"{name}.num_batches_tracked"] = ()
  return shapes


def networks(rng: np.random.Generator) -> dict[str, np.ndarray]:
  """The entry "model" of a checkpoint of depth 10: random weights by their published names."""
  return {
    name: np.asarray(rng.uniform(0.1, 0.5, shape), np.float32)
    for name, shape in _shapes().items()
  }

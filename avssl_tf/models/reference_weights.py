"""Weights of the published PyTorch checkpoints of AVID and AVID-CMA.

A pure mapping from the names and arrays of a PyTorch state dict to the variables of
`AudioVisualModel` and of the objective. It does not require PyTorch.

The published checkpoints (Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination
with Cross-Modal Agreement", CVPR 2021) are dicts with `"model"` and `"train_criterion"`. The names
start with `module.` if the model was trained on several devices.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Optional

import numpy as np
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.models import av_model

# Depth of the published networks, by number of blocks per stage.
_DEPTHS = {(1, 1, 1, 1): 10, (2, 2, 2, 2): 18, (3, 4, 6, 3): 34}
_STAGES = ("conv2x", "conv3x", "conv4x", "conv5x")
_AUDIO_BLOCKS = ("block1", "block2", "block3", "block4")

_VIDEO_BANK = "nce_average.view1_mem"
_AUDIO_BANK = "nce_average.view2_mem"
_NORMALIZER = "avg_exp_score"

# Names without a counterpart, and the reason.
_IGNORED = (
  (r"(^|\.)num_batches_tracked$", "a counter that batch normalisation with fixed momentum ignores"),
  (r"^nce_average\.positive_set$", "derived: recomputed from the memory banks"),
)


@dataclasses.dataclass(frozen=True)
class Architecture:
  """Architecture of the networks of a state dict.

  Attributes:
    depth: depth of the video network.
    video_widths: channels of the four stages of the video network.
    audio_widths: channels of the four stages of the audio network.
    audio_channels: input channels of the audio network.
    video_head_widths: units of the layers of the video head.
    audio_head_widths: units of the layers of the audio head.
  """

  depth: int
  video_widths: tuple[int, ...]
  audio_widths: tuple[int, ...]
  audio_channels: int
  video_head_widths: tuple[int, ...]
  audio_head_widths: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Objective:
  """State of the objective.

  Attributes:
    video_bank: float32 `[N, D]`, unit length.
    audio_bank: float32 `[N, D]`, unit length.
    normalizer: the NCE constant Z; 0 if it has not been estimated.
  """

  video_bank: np.ndarray
  audio_bank: np.ndarray
  normalizer: float


def without_module_prefix(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Removes the prefix `module.`, which data-parallel wrappers add to every name."""
  return {name[len("module.") :] if name.startswith("module.") else name: value
          for name, value in state.items()}


def ignored_reason(name: str) -> Optional[str]:
  """Reason why the entry `name` of a state dict has no counterpart; None if it has one."""
  return next((reason for pattern, reason in _IGNORED if re.search(pattern, name)), None)


def architecture(state: Mapping[str, np.ndarray]) -> Architecture:
  """Infers the architecture from the names and shapes of a state dict.

  Args:
    state: weights of the networks, without the prefix `module.`.

  Raises:
    UserError: the weights are not those of an R(2+1)D network, a ten-layer audio network and two
      heads.
  """
  blocks = tuple(_count(state, rf"^video_model\.{s}\.(\d+)\.", default=1) for s in _STAGES)
  if blocks not in _DEPTHS:
    raise UserError(
      f"The video network has {blocks} blocks in its stages; expected one of {sorted(_DEPTHS)}."
    )
  first = [f"video_model.{stage}." + ("" if blocks == (1, 1, 1, 1) else "0.") for stage in _STAGES]
  return Architecture(
    depth=_DEPTHS[blocks],
    video_widths=tuple(_array(state, f"{f}spt_conv1.weight").shape[0] for f in first),
    audio_widths=tuple(
      _array(state, f"audio_model.{b}.conv1.weight").shape[0] for b in _AUDIO_BLOCKS
    ),
    audio_channels=_array(state, "audio_model.conv1.0.weight").shape[1],
    video_head_widths=_head_widths(state, "video_proj"),
    audio_head_widths=_head_widths(state, "audio_proj"),
  )


def model_variables(model: av_model.AudioVisualModel) -> dict[str, tf.Variable]:
  """Variables of a built model, by name in a state dict, without `module.`."""
  return {
    **dict(_video_net(model.video_net)),
    **dict(_audio_net(model.audio_net)),
    **dict(_head("video_proj", model.video_head)),
    **dict(_head("audio_proj", model.audio_head)),
  }


def to_keras_layout(value: np.ndarray) -> np.ndarray:
  """Transposes a weight from PyTorch's to Keras' layout.

  PyTorch uses `[out, in, *kernel]`, Keras `[*kernel, in, out]`; vectors are unchanged.
  """
  if value.ndim < 2:
    return value
  return np.transpose(value, (*range(2, value.ndim), 1, 0))


def misfits(
  variables: Mapping[str, tf.Variable], state: Mapping[str, np.ndarray]
) -> dict[str, str]:
  """Differences that prevent the assignment of a state dict to variables.

  Args:
    variables: by name, from `model_variables`.
    state: arrays by name, without the prefix `module.`.

  Returns:
    The problem of each name that is missing, is unexpected or has another shape.
  """
  found = {name: "missing in the checkpoint" for name in variables if name not in state}
  for name, value in state.items():
    if name not in variables:
      if ignored_reason(name) is None:
        found[name] = "no counterpart in the model"
      continue
    shape, expected = to_keras_layout(value).shape, tuple(variables[name].shape)
    if shape != expected:
      found[name] = f"shape {shape} in Keras' layout; the model has {expected}"
  return found


def assign(variables: Mapping[str, tf.Variable], state: Mapping[str, np.ndarray]) -> None:
  """Assigns a state dict to variables; arguments of `misfits`.

  Raises:
    UserError: an entry is missing, is unexpected, or has another shape. No variable is assigned
      in this case.
  """
  found = misfits(variables, state)
  if found:
    lines = "".join(f"\n  {name}: {problem}" for name, problem in sorted(found.items()))
    raise UserError(f"The weights do not match the model:{lines}")
  for name, variable in variables.items():
    variable.assign(to_keras_layout(state[name]))


def objective(state: Mapping[str, np.ndarray]) -> Objective:
  """Reads memory banks and the NCE constant from the state dict of a criterion.

  Args:
    state: state dict of the criterion of AVID or AVID-CMA, without the prefix `module.`.

  Raises:
    UserError: an entry is missing or unexpected, or the banks differ in shape.
  """
  normalizers = [name for name in state if name.split(".")[-1] == _NORMALIZER]
  known = {_VIDEO_BANK, _AUDIO_BANK, *normalizers}
  left_over = sorted(n for n in set(state) - known if ignored_reason(n) is None)
  if left_over or not normalizers:
    raise UserError(
      f"The criterion has unexpected entries: {left_over or 'none'}; "
      f"NCE constants: {normalizers or 'none, expected at least one'}."
    )
  video_bank = np.asarray(_array(state, _VIDEO_BANK), np.float32)
  audio_bank = np.asarray(_array(state, _AUDIO_BANK), np.float32)
  if video_bank.shape != audio_bank.shape or video_bank.ndim != 2:
    raise UserError(
      f"The memory banks have shapes {video_bank.shape} and {audio_bank.shape}; expected the "
      "same [N, D]."
    )
  # Early checkpoints contain one constant per term of the loss. -1 means not estimated yet.
  constants = [float(np.mean(state[name])) for name in normalizers]
  estimated = [constant for constant in constants if constant > 0]
  return Objective(video_bank, audio_bank, float(np.mean(estimated)) if estimated else 0.0)


def _array(state, name):
  if name not in state:
    raise UserError(f"The checkpoint has no {name!r}; it has {len(state)} other entries.")
  return state[name]


def _count(state, pattern: str, default: int) -> int:
  indexes = {int(m.group(1)) for name in state if (m := re.match(pattern, name))}
  return len(indexes) if indexes else default


def _head_widths(state, prefix: str) -> tuple[int, ...]:
  # Linear layers have even numbers; activations are between them.
  count = _count(state, rf"^{prefix}\.projection\.(\d+)\.weight$", default=0)
  if not count:
    raise UserError(f"The checkpoint has no projection head {prefix!r}.")
  return tuple(
    _array(state, f"{prefix}.projection.{2 * i}.weight").shape[0] for i in range(count)
  )


_Named = Iterator[tuple[str, tf.Variable]]


def _batch_norm(prefix: str, layer: tf.keras.layers.BatchNormalization) -> _Named:
  yield f"{prefix}.weight", layer.gamma
  yield f"{prefix}.bias", layer.beta
  yield f"{prefix}.running_mean", layer.moving_mean
  yield f"{prefix}.running_var", layer.moving_variance


def _video_net(net) -> _Named:
  yield "video_model.conv1.0.weight", net.conv1.kernel
  yield from _batch_norm("video_model.conv1.1", net.bn1)
  for stage in _STAGES:
    blocks = getattr(net, stage)
    for i, block in enumerate(blocks):
      # A stage of one block has no index in its names.
      prefix = f"video_model.{stage}" + (f".{i}" if len(blocks) > 1 else "")
      for j, pair in enumerate(block.pairs, start=1):
        yield f"{prefix}.spt_conv{j}.weight", pair.spatial_conv.kernel
        yield from _batch_norm(f"{prefix}.spt_bn{j}", pair.spatial_bn)
        yield f"{prefix}.tmp_conv{j}.weight", pair.temporal_conv.kernel
      yield from _batch_norm(f"{prefix}.tmp_bn1", block.norms[0])
      yield from _batch_norm(f"{prefix}.out_bn", block.norms[-1])
      if block.shortcut is not None:
        yield f"{prefix}.res_conv.weight", block.shortcut.kernel


def _audio_net(net) -> _Named:
  yield "audio_model.conv1.0.weight", net.conv1.kernel
  yield from _batch_norm("audio_model.conv1.1", net.bn1)
  for name, stage in zip(_AUDIO_BLOCKS, _STAGES):
    block = getattr(net, stage)
    for j, conv, norm in ((1, block.conv1, block.bn1), (2, block.conv2, block.bn2)):
      yield f"audio_model.{name}.conv{j}.weight", conv.kernel
      yield from _batch_norm(f"audio_model.{name}.bn{j}", norm)


def _head(prefix: str, head) -> _Named:
  for i, dense in enumerate(head.dense):
    yield f"{prefix}.projection.{2 * i}.weight", dense.kernel
    yield f"{prefix}.projection.{2 * i}.bias", dense.bias

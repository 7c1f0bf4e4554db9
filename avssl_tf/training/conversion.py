"""Converts published checkpoints of AVID and AVID-CMA to a run folder.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
CVPR 2021. This module does not require PyTorch: `tools/convert_checkpoint.py` reads the file.
"""

import os
from collections.abc import Mapping
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import stops
from avssl_tf.data.pipeline import clip_kinds
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file
from avssl_tf.keys import AUDIO, VIDEO
from avssl_tf.losses import avid
from avssl_tf.models import av_model, reference_weights
from avssl_tf.training import checkpoints, loading, run_folder
from avssl_tf.training.configurations import configuration

_NETWORKS = "model"
_OBJECTIVE = "train_criterion"
# Entries of a checkpoint that are not converted, and the reasons.
_SKIPPED = {
  "epoch": "epoch count of the finished training",
  "optimizer": "optimiser state of the finished training",
}
_CONFIGURATION = """\
# Architecture of {source}, converted by tools/convert_checkpoint.py.
# The training records are not included: set --data_dir to your own.
train.clip = @ClipSpec()
train.data_dir = ""
train.network = @AudioVisualModel
train.precision = "float32"

ClipSpec.num_frames = 8
ClipSpec.frame_rate_hz = 16.0
ClipSpec.frame_size = 224
ClipSpec.audio_sec = 2.0

AudioVisualModel.video_front_end = @VideoFrontEnd()
AudioVisualModel.video_net = @R2Plus1D()
AudioVisualModel.video_head = @video/MLPHead()
AudioVisualModel.audio_front_end = @AudioFrontEnd()
AudioVisualModel.audio_net = @AudioNet()
AudioVisualModel.audio_head = @audio/MLPHead()

R2Plus1D.depth = {depth}
R2Plus1D.stage_widths = {video_widths}
AudioNet.stage_widths = {audio_widths}
video/MLPHead.name = "video_head"
video/MLPHead.widths = {video_head_widths}
audio/MLPHead.name = "audio_head"
audio/MLPHead.widths = {audio_head_widths}

AudioFrontEnd.spectrogram = @Spectrogram()
Spectrogram.kind = "log_power"
Spectrogram.sample_rate_hz = 24000
Spectrogram.fft_length = 1024
Spectrogram.hop_length = 240
Spectrogram.num_bins = 257
Spectrogram.power = 2.0
Spectrogram.top_db = 100.0
"""


class ConversionError(UserError):
  """A checkpoint cannot be converted; the message states why."""


def convert(
  checkpoint: Mapping[str, object],
  output_dir: str,
  source: str,
  statistics: Optional[Mapping[str, np.ndarray]] = None,
) -> list[str]:
  """Converts a checkpoint to a folder that the commands accept as `--model_dir`.

  Args:
    checkpoint: content of the `.pth.tar` file, with arrays in place of tensors.
    output_dir: output folder; created if it does not exist.
    source: name of the checkpoint, for the header of the configuration.
    statistics: `mean` and `std` of each spectrogram bin, float `[257]`, in dB.

  Returns:
    The lines of the parity report.

  Raises:
    ConversionError: an entry is missing or has no counterpart. The message contains the report.
  """
  if not isinstance(checkpoint.get(_NETWORKS), Mapping):
    raise ConversionError(f"No dict {_NETWORKS!r} in the checkpoint; found {sorted(checkpoint)}.")
  if os.path.isdir(output_dir) and os.listdir(output_dir):
    raise ConversionError(f"--output_dir={output_dir} is not empty: choose a new folder.")
  networks = reference_weights.without_module_prefix(checkpoint[_NETWORKS])
  architecture = reference_weights.architecture(networks)
  text = _CONFIGURATION.format(source=source, **vars(architecture))
  model = _build(text, architecture.audio_channels)
  variables = reference_weights.model_variables(model)
  problems = reference_weights.misfits(variables, networks)
  report = [f"networks: {architecture}"]
  report += [_network_line(name, value, variables, problems) for name, value in networks.items()]
  report += [f"{name} -> PROBLEM: {problems[name]}" for name in problems if name not in networks]
  for name in sorted(set(checkpoint) - {_NETWORKS, _OBJECTIVE}):
    if name not in _SKIPPED:
      problems[name] = "no counterpart in the converted checkpoint"
    report.append(_line(name, problems.get(name), f"not used, {_SKIPPED.get(name)}"))
  if problems:
    raise ConversionError(
      "\n".join([*report, f"Not converted: {len(problems)} problems, listed above."])
    )
  reference_weights.assign(variables, networks)
  report += _set_statistics(model, statistics)
  objective, lines = _objective(checkpoint.get(_OBJECTIVE), model.embedding_dim)
  with stops.held():
    save(model, objective, text, output_dir)
  return report + lines + _parameter_counts(model) + forward_report(output_dir)


def save(
  model: av_model.AudioVisualModel,
  objective: Optional[tf.keras.layers.Layer],
  text: str,
  output_dir: str,
) -> None:
  """Writes a checkpoint and its configuration in the layout of a run folder."""
  os.makedirs(output_dir, exist_ok=True)
  checkpoints.write(output_dir, model, objective)
  path = os.path.join(output_dir, run_folder.OPERATIVE_CONFIG)
  with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
    f.write(text)


def forward_report(model_dir: str) -> list[str]:
  """Statistics of the outputs of the network in `model_dir` for a fixed, reproducible input.

  The input is drawn from `numpy.random.RandomState(0)`: first uint8 frames `[1, 8, 112, 112, 3]`,
  then 2 s of white noise at the network's sample rate, with a standard deviation of 0.1.
  """
  loaded = loading.load(model_dir)
  generator = np.random.RandomState(0)
  frames = generator.randint(0, 256, (1, 8, 112, 112, 3)).astype(np.uint8)
  shape = (1, 2 * loaded.sample_rate_hz, loaded.num_channels)
  waveform = generator.normal(0, 0.1, shape).astype(np.float32)
  outputs = loaded.network({VIDEO: tf.constant(frames), AUDIO: tf.constant(waveform)})
  lines = ["forward, fixed input:"]
  for modality, output in outputs.items():
    for name, value in output.items():
      x = value.numpy()
      first = " ".join(f"{v:.6g}" for v in x[0, :4])
      lines.append(
        f"  {modality} {name} {x.shape}: mean {x.mean():.6g} std {x.std():.6g} "
        f"max {np.abs(x).max():.6g}; {first} ..."
      )
  return lines


def _build(text: str, num_channels: int) -> av_model.AudioVisualModel:
  configuration.parse([], [text])
  bound = gin.get_bindings("train")
  tf.keras.mixed_precision.set_global_policy(bound["precision"])
  model = bound["network"]()
  model(clip_kinds.kind_of(bound["clip"]).zero_batch(model.sample_rate_hz, num_channels))
  return model


def _network_line(name, value, variables, problems) -> str:
  used = name in variables and f"{variables[name].name} {tuple(variables[name].shape)}"
  fate = used or f"not used, {reference_weights.ignored_reason(name)}"
  return _line(f"{name} {tuple(np.shape(value))}", problems.get(name), fate)


def _line(what: str, problem: Optional[str], fate: str) -> str:
  return f"{what} -> {f'PROBLEM: {problem}' if problem else fate}"


def _set_statistics(model, statistics) -> list[str]:
  if statistics is None:
    return [
      "WARNING: no --spectrogram_statistics: the audio front end uses mean 0 and standard "
      "deviation 1, unlike in the training of the audio network."
    ]
  model.audio_front_end.set_statistics(statistics["mean"], statistics["std"])
  return ["spectrogram statistics: set"]


def _objective(state, dim: int):
  """The objective with its banks, or None; and the lines of the report."""
  if state is None:
    return None, ["objective: not in the checkpoint (networks and heads only)"]
  state = reference_weights.without_module_prefix(state)
  found = reference_weights.objective(state)
  num_rows, bank_dim = found.video_bank.shape
  if bank_dim != dim:
    raise ConversionError(f"The memory banks have {bank_dim} columns, the embeddings {dim}.")
  objective = avid.AVID(num_rows=num_rows, dim=dim)
  objective.video_bank.rows.assign(found.video_bank)
  objective.audio_bank.rows.assign(found.audio_bank)
  objective.normalizer.assign(found.normalizer)
  lines = [f"objective: {num_rows} rows of {dim}, NCE constant {found.normalizer:.6g}"]
  for name, value in state.items():
    reason = reference_weights.ignored_reason(name)
    fate = f"not used, {reason}" if reason else "used"
    lines.append(_line(f"{name} {tuple(np.shape(value))}", None, fate))
  return objective, lines


def _parameter_counts(model) -> list[str]:
  parts = (model.video_net, model.audio_net, model.video_head, model.audio_head)
  counts = [sum(v.shape.num_elements() for v in part.trainable_variables) for part in parts]
  names = ("video network", "audio network", "video head", "audio head")
  return [f"parameters, {name}: {count:,}" for name, count in zip(names, counts)]

"""Exports a trained model as a SavedModel with raw frames and waveforms as inputs."""

import dataclasses
import json
import os
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from avssl_tf import keys, local_paths
from avssl_tf.data.pipeline import datasets, viewpoints
from avssl_tf.errors import UserError
from avssl_tf.files import read_json
from avssl_tf.inference import origin, saved_model_folder
from avssl_tf.inference.checked_signature import checked
from avssl_tf.models.network import Network

INPUT_SPEC_FILE = saved_model_folder.INPUT_SPEC_FILE

# Upper bound of plausible sizes, lengths and rates of an input.
_LARGEST = 1e9


@dataclasses.dataclass(frozen=True)
class InputSpec:
  """Input of an exported model; `assets.extra/input_spec.json` contains these fields.

  Attributes:
    num_frames: number of frames of a clip.
    frame_rate_hz: frame rate.
    frame_size: height and width of a frame, in pixels.
    num_samples: length of a waveform.
    sample_rate_hz: sample rate of the waveform.
    num_channels: channels of the waveform.
    viewpoints: settings of the `ViewpointSpec` that draws the views of a 360° clip; None for a
      model of ordinary clips.
    panorama: whether frames are equirectangular, with a width of twice `frame_size`.
    flow: whether the model also takes optical flow images of the frames.
  """

  num_frames: int
  frame_rate_hz: float
  frame_size: int
  num_samples: int
  sample_rate_hz: int
  num_channels: int
  viewpoints: Optional[dict[str, Any]] = None
  panorama: bool = False
  flow: bool = False

  @classmethod
  def create(cls, clip: datasets.ClipSpec, sample_rate_hz: int, num_channels: int) -> "InputSpec":
    """The input specification of a model that was trained on such clips."""
    return cls(
      num_frames=clip.num_frames,
      frame_rate_hz=clip.frame_rate_hz,
      frame_size=clip.frame_size,
      num_samples=clip.num_samples(sample_rate_hz),
      sample_rate_hz=sample_rate_hz,
      num_channels=num_channels,
      viewpoints=None if clip.viewpoints is None else dataclasses.asdict(clip.viewpoints),
      panorama=clip.panorama,
      flow=clip.flow,
    )

  @classmethod
  def load(cls, export_dir: str) -> "InputSpec":
    """Reads the input specification of the SavedModel in `export_dir`.

    Raises:
      UserError: the SavedModel has no valid one; it was not written by `export`.
    """
    path = os.path.join(export_dir, saved_model_folder.EXTRA_DIR, INPUT_SPEC_FILE)
    try:
      return cls(**read_json(path))._checked()
    except (FileNotFoundError, TypeError, ValueError) as error:
      raise UserError(
        f"{path} does not describe the input of the SavedModel ({error}). Expected a SavedModel "
        "written by avssl_tf.export or avssl_tf.train."
      ) from error

  def _checked(self) -> "InputSpec":
    """Returns self after checking types and ranges of the fields."""
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type in (int, float) and not (
        isinstance(value, (int, field.type)) and 0 < value < _LARGEST
      ):
        raise UserError(f"{field.name} is {value!r}")
      if field.type is bool and not isinstance(value, bool):
        raise UserError(f"{field.name} is {value!r}")
    if not (self.viewpoints is None or isinstance(self.viewpoints, dict)):
      raise UserError(f"viewpoints is {self.viewpoints!r}")
    return self

  def clip(self) -> datasets.ClipSpec:
    """Specification of the clips of a record that match this input."""
    return datasets.ClipSpec(
      num_frames=self.num_frames,
      frame_rate_hz=self.frame_rate_hz,
      frame_size=self.frame_size,
      audio_sec=self.num_samples / self.sample_rate_hz,
      sample_rate_hz=self.sample_rate_hz,
      viewpoints=None if self.viewpoints is None else _viewpoint_spec(self.viewpoints),
      panorama=self.panorama,
      flow=self.flow,
    )

  def tensor_specs(self, any_size: bool) -> dict[str, tf.TensorSpec]:
    """Tensor specifications of the inputs, for any batch size; single views of 360° clips.

    These are `video` and `audio` and, if the model takes it, `flow`, with the shape of `video`.
    """
    width = self.frame_size * (2 if self.panorama else 1)
    video = [self.num_frames, self.frame_size, width]
    audio = [self.num_samples]
    if any_size:
      video, audio = [None] * len(video), [None] * len(audio)
    specs = {
      keys.VIDEO: tf.TensorSpec([None, *video, 3], tf.uint8, keys.VIDEO),
      keys.AUDIO: tf.TensorSpec([None, *audio, self.num_channels], tf.float32, keys.AUDIO),
    }
    if self.flow:
      specs[keys.FLOW] = tf.TensorSpec([None, *video, 3], tf.uint8, keys.FLOW)
    return specs


def _viewpoint_spec(settings: dict[str, Any]) -> viewpoints.ViewpointSpec:
  """The inverse of `dataclasses.asdict`; converts the lists of JSON back to tuples."""
  return viewpoints.ViewpointSpec(
    **{name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
  )


def export(
  network: Network,
  input_spec: InputSpec,
  output_dir: str,
  any_size: bool = False,
  overwrite: bool = False,
) -> None:
  """Writes a SavedModel with the signatures of a network and the files for serving.

  The SavedModel contains only the variables of the network, without optimiser and objective.
  `assets.extra` contains `input_spec.json` and one warm-up request per signature. The folder is
  written atomically (`saved_model_folder.replaced`).

  Args:
    network: the network, with its variables built. With several machines every worker must call
      this function, each with a separate folder: it reads the average of per-replica statistics.
    input_spec: the input that the network was trained on.
    output_dir: folder to write; not a symbolic link.
    any_size: whether to accept any number and size of frames and any length of waveforms. Networks
      that pool over space and time support them, but such inputs differ from the training data,
      and a wrong frame rate or size would go unnoticed.
    overwrite: whether to replace a SavedModel at `output_dir` that this function wrote.

  Raises:
    FileThereError: `output_dir` exists, and `overwrite` is off or this function did not write it.
    FolderInUseError: another process exports to `output_dir`.
    UserError: `any_size` for a network that generates sound fields.
  """
  if any_size and not network.takes_any_size:
    raise UserError(
      "A network that generates sound fields only accepts clips of the size that it was trained "
      "on: export it without --any_size."
    )
  specs = input_spec.tensor_specs(any_size)
  # Not traced yet: only functions that are traced during saving read one value of each variable of
  # a distribution strategy.
  functions = {
    name: checked(signature.function, signature.inputs)
    for name, signature in network.signatures(specs).items()
  }
  module = tf.Module()
  # Tracks the variables only: if the network were tracked, Keras would trace and save each layer.
  module.weights = list(network.variables)
  with saved_model_folder.replaced(os.path.abspath(output_dir), overwrite) as folder:
    tf.saved_model.save(module, local_paths.for_tensorflow(folder), signatures=functions)
    extra_dir = os.path.join(folder, saved_model_folder.EXTRA_DIR)
    os.makedirs(extra_dir)
    warmup_path = os.path.join(extra_dir, saved_model_folder.WARMUP_FILE)
    _write_warmup_requests(warmup_path, input_spec, functions)
    with open(os.path.join(extra_dir, INPUT_SPEC_FILE), "w", encoding="utf-8") as f:
      json.dump(dataclasses.asdict(input_spec), f, indent=1)
      f.write("\n")
    origin.record(folder)


def _write_warmup_requests(path, input_spec: InputSpec, functions) -> None:
  """Writes one request with silence and black frames for each signature.

  TensorFlow Serving runs them when it loads the model: the first user request then does not wait
  for lazy initialisation.
  """
  specs = input_spec.tensor_specs(any_size=False)
  shapes = {name: [1, *spec.shape[1:]] for name, spec in specs.items()}
  with tf.io.TFRecordWriter(local_paths.for_tensorflow(path)) as writer:
    for name, function in functions.items():
      log = prediction_log_pb2.PredictionLog()
      request = log.predict_log.request
      request.model_spec.signature_name = name
      for spec in function.input_signature:
        # Inputs other than raw clips are features of views; their size is set by the network.
        shape = shapes.get(spec.name, [size or 1 for size in spec.shape])
        zeros = np.zeros(shape, spec.dtype.as_numpy_dtype)
        request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(zeros))
      writer.write(log.SerializeToString())

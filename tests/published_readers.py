"""What composed configurations set, in the terms and units of the published settings.

Each function reads the configuration of a run, or of a run and of an evaluation of it, and returns
values by the names that `tests/testdata/published_settings.json` has for them.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import gin
import tensorflow as tf

from avssl_tf.training.configurations.settings import Reference, Settings

_SAMPLING = {
  "independent": "clips, each drawn independently of the others",
  "video": "a video, then a random clip of it; no video twice in a batch",
}


class Composed:
  """The values of a configuration, with the defaults of what it does not bind."""

  def __init__(self, settings: Settings):
    """Reads what gin files and parameters came to."""
    bindings = settings.resolved().items()
    self._bindings = {unqualified(name): value for name, value in bindings}

  def get(self, name: str) -> Any:
    """Value of a parameter such as `"ClipSpec.num_frames"`; references as text."""
    if name in self._bindings:
      value = self._bindings[name]
    else:
      value = _default(*name.rpartition("/")[2].split("."))
    return value.text if isinstance(value, Reference) else value

  def one(self, *names: str) -> Any:
    """The value that several parameters have in common; all of them where they differ."""
    values = {name: self.get(name) for name in names}
    first = values[names[0]]
    return first if all(value == first for value in values.values()) else values


def unqualified(name: str) -> str:
  """`schedules.step_decay.factor` -> `step_decay.factor`."""
  scope, slash, selector = name.rpartition("/")
  return scope + slash + ".".join(selector.split(".")[-2:])


def _default(selector: str, parameter: str) -> Any:
  configurable = gin.get_configurable(selector)
  bases = [configurable]
  if inspect.isclass(configurable) and issubclass(configurable, tf.keras.optimizers.Adam):
    bases.append(tf.keras.optimizers.Adam)
  for base in bases:
    function = base.__init__ if inspect.isclass(base) else base
    parameters = inspect.signature(function).parameters
    if parameter in parameters:
      default = parameters[parameter].default
      return None if default is inspect.Parameter.empty else default
  raise LookupError(f"{selector} has no parameter {parameter!r}.")


def clip(run: Composed) -> dict[str, Any]:
  """Settings of all runs of video with sound: clips, epochs, optimiser, rates."""
  video_sec = run.get("ClipSpec.num_frames") / run.get("ClipSpec.frame_rate_hz")
  return {
    "batch_size": run.get("train.batch_size"),
    "video_sec": video_sec,
    "frame_rate_hz": run.get("ClipSpec.frame_rate_hz"),
    "frame_size": run.get("ClipSpec.frame_size"),
    "audio_sec": run.get("ClipSpec.audio_sec"),
    "sample_rate_hz": run.one("ClipSpec.sample_rate_hz", "Spectrogram.sample_rate_hz"),
    "spectrogram_rate_hz": run.get("Spectrogram.sample_rate_hz")
    / run.get("Spectrogram.hop_length"),
    "clips_per_video": run.get("train.clips_per_video"),
    "epochs": run.get("train.num_epochs"),
    "optimizer": optimizer(run, run.get("train.optimizer")),
    "l2": run.get("Adam.l2"),
    "learning_rate": _rate(run, "learning_rate"),
    "lr_factor": _rate(run, "factor"),
    "lr_milestones_epochs": _rate(run, "milestone_epochs"),
    "video_window": _window(run, video_sec),
  }


def _rate(run: Composed, name: str) -> Any:
  schedule = run.get("train.schedule"), run.get("step_decay.warmup_steps")
  if schedule != ("@schedules.step_decay", 0):
    return schedule
  falls = run.get("step_decay.milestone_epochs") or run.get("step_decay.milestone_steps")
  # Without milestones nothing is multiplied by the factor.
  return 1.0 if name == "factor" and not falls else run.get(f"step_decay.{name}")


def optimizer(values: Composed, reference: Any) -> str:
  """An optimiser in words."""
  epsilon = f"{values.get('Adam.epsilon'):.0e}".replace("e-0", "e-")
  if reference != "@optimizers.Adam" or clipping(values) is not None:
    return f"{reference}, clipping {clipping(values)}"
  if not values.get("Adam.torch_epsilon"):
    return f"adam of Keras, eps {epsilon}"
  return f"adam, eps {epsilon}, coupled L2"


def clipping(values: Composed) -> Any:
  """What limits gradients; None if nothing does."""
  limits = {n: values.get(f"Adam.{n}") for n in ("clipnorm", "clipvalue", "global_clipnorm")}
  return {name: limit for name, limit in limits.items() if limit is not None} or None


def _window(run: Composed, video_sec: float) -> str:
  most_sec = run.get("ClipSpec.max_offset_sec")
  beyond_sec = most_sec - (run.get("ClipSpec.audio_sec") - video_sec) / 2
  where = f"may reach {beyond_sec:g} s beyond either edge of the sound window"
  if beyond_sec == 0:
    where = "inside the sound window (no extra offset)"
  return f"{where}: centres up to {most_sec:g} s apart"


def networks(run: Composed) -> dict[str, Any]:
  """Parts of all runs of video with sound that the authors' code builds in."""
  return {
    "video_depth": run.get("R2Plus1D.depth"),
    "video_stem": run.get("R2Plus1D.stem"),
    "video_stem_kernel": run.get("R2Plus1D.stem_kernel"),
    "video_widths": run.get("R2Plus1D.stage_widths"),
    "audio_widths": run.get("AudioNet.stage_widths"),
    "audio_strides": run.get("AudioNet.stage_strides"),
    "head_widths": run.get("MLPHead.widths"),
    "head_batch_norm": run.get("MLPHead.batch_norm"),
    "spectrogram": run.get("Spectrogram.kind"),
    "spectrogram_bins": run.get("Spectrogram.num_bins"),
    "spectrogram_power": run.get("Spectrogram.power"),
    "color": colors(run),
    "volume": run.get("Augmentation.volume"),
  }


def colors(values: Composed) -> list[float]:
  """Bounds of the changes of colour, as the authors' code lists them."""
  names = ("brightness", "contrast", "saturation", "hue")
  return [values.get(f"Augmentation.{name}") for name in names]


def avid(run: Composed) -> dict[str, Any]:
  """Settings of AVID and of methods based on it: those of `clip`, and their own."""
  objective = run.get("InstanceDiscrimination.objective")[1:]
  found = {
    **clip(run),
    **networks(run),
    "task": run.get("train.task"),
    "objective": objective,
    "fft_bins": run.get("Spectrogram.fft_length") / 2,
    "num_negatives": run.get(f"{objective}.num_negatives"),
    "bank_momentum": run.get(f"{objective}.momentum"),
    "temperature": run.get(f"{objective}.temperature"),
    "fill_memory": run.get("train.fill_memory"),
    "sampling_of_clips": run.get("train.sampling"),
    "crop_area": run.get("Augmentation.crop_area"),
    "crop_aspect": run.get("Augmentation.crop_aspect"),
    "flip": run.get("Augmentation.flip_probability"),
  }
  if objective == "AVID":
    found["cross"] = run.get("AVID.cross_coefficient")
    found["within"] = run.get("AVID.self_coefficient")
  return found


def cma(run: Composed) -> dict[str, Any]:
  """Settings of CMA: those of `avid`, and its own."""
  start = run.get("train.init_from"), run.get("CMA.warmup_epochs")
  of_same_data = run.get("train.data_dir").replace("data/", "runs/avid+")
  latest = "the AVID run of the same data, last checkpoint"
  return {
    **avid(run),
    "negatives_within": run.get("CMA.num_positive_negatives"),
    "cross_instance": run.get("CMA.cross_coefficient"),
    "within_instance": run.get("CMA.self_coefficient"),
    "cross_positive": run.get("CMA.positive_cross_coefficient"),
    "within_positive": run.get("CMA.positive_self_coefficient"),
    "refresh_epochs": run.get("CMA.refresh_every_epochs"),
    "agreement": run.get("CMA.agreement"),
    "positives": run.get("CMA.num_positives"),
    "starts_from": latest if start == (of_same_data, 0) else start,
  }


def robust_xid(run: Composed) -> dict[str, Any]:
  """Settings of Robust xID: those of `avid`, and its own."""
  names = ("min_weight", "delta", "kappa", "targets", "target_weight", "target_temperature",
           "cycle_temperature", "warmup_epochs")  # fmt: skip
  return {**avid(run), **{name: run.get(f"RobustXID.{name}") for name in names}}


def avsa(run: Composed) -> dict[str, Any]:
  """Settings of spatial alignment, either stage."""
  return {
    **clip(run),
    **networks(run),
    "sampling": _SAMPLING.get(run.get("train.sampling"), run.get("train.sampling")),
    "viewpoints": run.get("ViewpointSpec.num_viewpoints"),
    "centre_margin": _margin(run),
    "horizontal_fov_share": _fov_share(run),
    "mel_bins": run.get("Spectrogram.num_bins"),
    "n_fft": run.get("Spectrogram.fft_length"),
    "flip": f"frames and sound together, {run.get('ViewpointSpec.flip_probability'):.0%}",
    "placement": run.get("ViewpointSpec.placement"),
    "azimuth_jitter_deg": run.get("ViewpointSpec.azimuth_jitter_deg"),
    "max_elevation_deg": run.get("ViewpointSpec.max_elevation_deg"),
    "aspect": run.get("ViewpointSpec.aspect"),
  }


def avsa_stage1(run: Composed) -> dict[str, Any]:
  """Settings of the first stage: those of `avsa`, and its own."""
  heads = run.get("FeatureTranslation.shared_heads"), run.get("FeatureTranslation.transformer")
  return {
    **avsa(run),
    "heads": "one a modality, no transformer" if heads == (True, None) else heads,
    "contrast": _contrast(run),
    "kept_epochs": run.get("train.keep_epochs"),
    "loss.target": "cross-modal",
    "loss.temperature": run.get("SpatialAlignment.temperature"),
    "loss.normalize": True,
    "loss.proj_dim": run.get("MLPHead.widths"),
  }


def _contrast(run: Composed) -> Any:
  warmup = run.get("SpatialAlignment.warmup_epochs")
  contrast = run.get("SpatialAlignment.contrast")
  if not warmup:
    return contrast
  return f"{run.get('SpatialAlignment.warmup_contrast')} for {warmup} epochs, then {contrast}"


def avsa_stage2(run: Composed) -> dict[str, Any]:
  """Settings of the second stage: those of `avsa`, and its own."""
  names = ("init_from", "init_epoch", "init_parts")
  return {
    **avsa(run),
    **{name: run.get(f"train.{name}") for name in names},
    "normalization": run.get("Transformer.normalization"),
    "shared_heads": run.get("FeatureTranslation.shared_heads"),
    "loss.use_seq2seq_transformer": run.get("FeatureTranslation.transformer") == "@Transformer",
    "loss.contrast": _contrast(run),
    "loss.transformer_args.depth": run.get("Transformer.depth"),
    "loss.transformer_args.model_dim": run.one(
      "R2Plus1D.stage_widths", "AudioNet.stage_widths"
    )[-1],
    "loss.transformer_args.expansion": run.get("Transformer.expansion"),
    "loss.transformer_args.multihead": run.get("Transformer.num_heads") > 1,
    "loss.transformer_args.dropout": run.get("Transformer.dropout"),
    "loss.contrastive_loss_args.temperature": run.get("SpatialAlignment.temperature"),
    "loss.contrastive_loss_args.normalize": True,
  }


def avsa_in_one_run(run: Composed) -> dict[str, Any]:
  """Settings of our curriculum: those of the second stage."""
  return avsa_stage2(run)


def spatial_audio(run: Composed) -> dict[str, Any]:
  """Settings of the generation of sound fields."""
  networks_of = ("SpatialUNet", "DirectUNet")
  adam = optimizer(run, run.get("train.optimizer"))
  steps = list(run.get("step_decay.milestone_steps"))
  every = steps[0] if steps else None
  evenly = steps == [every * (i + 1) for i in range(len(steps))]
  encoders = {f"@{name}/PanoramaEncoder()": name for name in ("frames", "flow")}
  encoder = f"{run.get('PanoramaEncoder.encoder')}-{run.get('R2Plus1D.depth')}"
  looks = {
    key: f"{encoder} of {encoders.get(reference, reference)}"
    for key in ("frame_net", "flow_net")
    for reference in [run.one(*(f"{name}.{key}" for name in networks_of))]
  }
  return {
    "batch_size": run.get("train.batch_size"),
    "learning_rate": _rate(run, "learning_rate"),
    "lr_factor": _rate(run, "factor"),
    "lr_every_iterations": every if evenly else steps,
    "last_halving": steps[-1] if steps else None,
    "optimizer": "adam" if adam == "adam of Keras, eps 1e-8" else adam,
    "l2": run.get("Adam.l2"),
    "gradient_clipping": clipping(run),
    "audio_rate_hz": run.one(
      "ClipSpec.sample_rate_hz", *(f"{name}.sample_rate_hz" for name in networks_of)
    ),
    "frame_rate_hz": run.get("ClipSpec.frame_rate_hz"),
    "context_sec": run.get("ClipSpec.audio_sec"),
    "generated_sec": run.get("ClipSpec.num_frames") / run.get("ClipSpec.frame_rate_hz"),
    "tracks": run.get("SpatialUNet.num_tracks"),
    **looks,
    "frame_size": run.get("ClipSpec.frame_size"),
    "window": run.one(*(f"{name}.frame_length" for name in networks_of)),
    "hop": run.one(*(f"{name}.hop_length" for name in networks_of)),
    "audio_widths": run.get("AudioUNet.widths"),
    "moment_dim": run.get("AudioUNet.moment_dim"),
    "loss": run.get("SpatialAudio.loss"),
    "turn_scene": run.get("Augmentation.turn_scene"),
    "color": colors(run),
    "volume": run.get("Augmentation.volume"),
  }


def finetune(run: Composed, evaluation: Composed) -> dict[str, Any]:
  """Settings of fine-tuning on actions."""
  rate_hz = run.get("ClipSpec.frame_rate_hz")
  found = _classifier("Finetune", run, evaluation)
  frames = evaluation.get("Finetune.num_frames") or run.get("ClipSpec.num_frames")
  return {
    **found,
    "clip_sec": frames / rate_hz,
    "warmup_of_classifier": evaluation.get("Finetune.classifier_epochs") > 0,
    "warmup_epochs": evaluation.get("Finetune.classifier_epochs"),
    "min_area": evaluation.get("Augmentation.crop_area")[0],
    "model.feat_name": "pool",
    "model.pooling_op": None,
    "model.feat_dim": run.get("R2Plus1D.stage_widths")[-1],
    "model.use_dropout": evaluation.get("Finetune.dropout") > 0,
    "model.dropout": evaluation.get("Finetune.dropout"),
  }


def kinetics_linear(run: Composed, evaluation: Composed) -> dict[str, Any]:
  """Settings of linear classifiers on each stage."""
  pools: Mapping[str, Any] = evaluation.get("KineticsLinear.pools")
  frames = evaluation.get("KineticsLinear.num_frames") or run.get("ClipSpec.num_frames")
  widths = dict(zip(("conv2x", "conv3x", "conv4x", "conv5x"), run.get("R2Plus1D.stage_widths")))
  sizes = {name: t * h * w * widths[name] for name, (t, h, w) in pools.items()}
  return {
    **_classifier("KineticsLinear", run, evaluation),
    "clip_sec": frames / run.get("ClipSpec.frame_rate_hz"),
    "warmup_of_classifier": False,
    "model.feat_names": list(pools),
    "model.pooling_ops": [f"AdaptiveMaxPool3d({tuple(size)})" for size in pools.values()],
    "model.feat_dims": list(sizes.values()),
    "model.use_bn": True,
    "folds": evaluation.get("KineticsLinear.folds"),
  }


def _classifier(name: str, run: Composed, evaluation: Composed) -> dict[str, Any]:
  return {
    "batch_size": evaluation.get(f"{name}.batch_size"),
    "frame_rate_hz": run.get("ClipSpec.frame_rate_hz"),
    "frame_size": evaluation.get(f"{name}.frame_size"),
    "epochs": evaluation.get(f"{name}.num_epochs"),
    "learning_rate": evaluation.get(f"{name}.learning_rate"),
    "lr_factor": evaluation.get(f"{name}.factor"),
    "lr_milestones_epochs": evaluation.get(f"{name}.milestone_epochs"),
    "optimizer": optimizer(evaluation, evaluation.get(f"{name}.optimizer")),
    "l2": evaluation.get("Adam.l2"),
    "clips_per_video.train": evaluation.get(f"{name}.clips_per_video"),
    "clips_per_video.test": evaluation.get(f"{name}.random_clips_per_video"),
    "clips_per_video.test_dense": evaluation.get(f"{name}.windows_per_video"),
    "color": colors(evaluation),
    "crop_area": evaluation.get("Augmentation.crop_area"),
    "crop_aspect": evaluation.get("Augmentation.crop_aspect"),
    "flip": evaluation.get("Augmentation.flip_probability"),
  }


def segmentation(inputs: str):
  """A reader of a segmentation from `inputs`, as `Segmentation.inputs` calls them."""

  def read(run: Composed, evaluation: Composed) -> dict[str, Any]:
    measured = evaluation.get("Segmentation.inputs")
    return {
      **_frozen("Segmentation", run, evaluation),
      "batch_size": evaluation.get("Segmentation.batch_size"),
      "augm_per_clip": evaluation.get("ViewpointSpec.num_viewpoints"),
      "crop_margin": _margin(evaluation),
      "hfov_train": _fov_share(evaluation, "training_views/"),
      "hfov_test": _fov_share(evaluation, "test_views/"),
      "model.num_classes": evaluation.get("Segmentation.num_classes"),
      "model.fpn_dim": evaluation.get("FeaturePyramid.pyramid_dim"),
      "model.segm_dim": evaluation.get("FeaturePyramid.head_dim"),
      "model.use_audio": inputs in measured and inputs != "visual",
      "model.use_context": inputs in measured and inputs == "context",
      "placement": evaluation.get("ViewpointSpec.placement"),
      "max_elevation_deg": evaluation.get("ViewpointSpec.max_elevation_deg"),
      "aspect": evaluation.get("ViewpointSpec.aspect"),
      "color": colors(evaluation),
    }

  return read


def binary_alignment(name: str, num_viewpoints: int, translated: bool):
  """A reader of `AVCBin` or `AVSABin`, from so many views, with translation or without."""

  def read(run: Composed, evaluation: Composed) -> dict[str, Any]:
    all_views = run.get("ViewpointSpec.num_viewpoints")
    views = evaluation.get(f"{name}.num_viewpoints") or (1, all_views)
    measured = num_viewpoints in views
    measured &= translated or evaluation.get(f"{name}.without_translation")
    return {
      **_frozen(name, run, evaluation),
      "batch_size": evaluation.get(f"{name}.classifier_clips"),
      "clips_per_video.train": evaluation.get(f"{name}.windows_per_clip"),
      "clips_per_video.test": evaluation.get(f"{name}.test_windows_per_clip"),
      "augm_per_clip": num_viewpoints if measured else None,
      "crop_margin": _margin(run),
      "hfov_lims": _fov_share(run),
      "model.use_dropout": evaluation.get(f"{name}.dropout") > 0,
      "model.dropout": evaluation.get(f"{name}.dropout"),
      "redraws": evaluation.get(f"{name}.redraws"),
    }

  return read


def _frozen(name: str, run: Composed, evaluation: Composed) -> dict[str, Any]:
  """Settings of small networks on a frozen one of 360° clips."""
  return {
    "clip_sec": run.get("ClipSpec.num_frames") / run.get("ClipSpec.frame_rate_hz"),
    "frame_rate_hz": run.get("ClipSpec.frame_rate_hz"),
    "frame_size": run.get("ClipSpec.frame_size"),
    "epochs": evaluation.get(f"{name}.num_epochs"),
    "learning_rate": evaluation.get(f"{name}.learning_rate"),
    "lr_factor": evaluation.get(f"{name}.factor"),
    "lr_milestones_epochs": evaluation.get(f"{name}.milestone_epochs"),
    "optimizer": optimizer(evaluation, evaluation.get(f"{name}.optimizer")),
    "l2": evaluation.get("Adam.l2"),
    "warmup_of_classifier": None,
    "clips_per_video.train": 1,
    "clips_per_video.test": 1,
    "sampling": "each clip once an epoch",
  }


def _margin(values: Composed) -> float:
  return round(values.get("ViewpointSpec.min_separation_deg") / 180, 6)


def _fov_share(values: Composed, scope: str = "") -> list[float]:
  degrees = values.get(f"{scope}ViewpointSpec.horizontal_fov_deg")
  return [round(one / 360, 6) for one in degrees]


def named(*names: str):
  """A reader of an evaluation that calls parameters by their own names."""
  return lambda run, evaluation: {name: evaluation.get(name) for name in names}

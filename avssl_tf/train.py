"""Trains a model, probes it, exports it, and says where everything lies.

  python -m avssl_tf.train --gin_file=gin/avid.gin

The same command again goes on where it stopped.
"""

import os
import sys

import gin
from absl import app, flags, logging

from avssl_tf import serving
from avssl_tf.evaluation import probe
from avssl_tf.training import callbacks, configuration, run, strategies, trainer

configuration.define_flags()
_MODEL_DIR = flags.DEFINE_string(
  "model_dir", None, "Folder of the run; default: runs/<name of the last gin file>."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Start anew: deletes the run in --model_dir.")
_VIRTUAL_DEVICES = flags.DEFINE_integer(
  "virtual_devices", 0, "Train on so many virtual CPUs by MirroredStrategy."
)


def main(argv):
  """Reads the configuration and does the run."""
  if len(argv) > 1:
    raise app.UsageError(f"Unexpected arguments: {argv[1:]}. Flags are written --name=value.")
  if not flags.FLAGS.gin_file:
    raise app.UsageError("Name a configuration, for example --gin_file=gin/avid.gin.")
  name = os.path.splitext(os.path.basename(flags.FLAGS.gin_file[-1]))[0]
  model_dir = _MODEL_DIR.value or os.path.join("runs", name)
  strategy = strategies.create(_VIRTUAL_DEVICES.value)
  try:
    configuration.parse(flags.FLAGS.gin_file, flags.FLAGS.gin_param)
    if strategies.is_chief():
      run.prepare(model_dir, _OVERWRITE.value)
      print(f"Configuration:\n{gin.config_str()}")
    result = trainer.train(
      model_dir=model_dir,
      strategy=strategy,
      save_configuration=lambda: _save_configuration(model_dir),
    )
    saved_model = _export(result, model_dir)
  except (configuration.ConfigurationError, callbacks.NonFiniteError, FileExistsError) as error:
    # These say all there is to say; a traceback would bury it.
    logging.error("%s", error)
    sys.exit(1)
  if strategies.is_chief():
    _print_summary(result, model_dir, saved_model)


def _save_configuration(model_dir: str) -> None:
  if strategies.is_chief():
    configuration.save_operative(model_dir)


def _export(result: trainer.Result, model_dir: str) -> str:
  output_dir = os.path.join(model_dir, "saved_model")
  if not strategies.is_chief():
    # Exporting reads averages over all workers, so that each takes part.
    output_dir = os.path.join(model_dir, f"saved_model_of_worker_{os.getpid()}")
  serving.export(
    result.model,
    serving.InputSpec.create(result.clip, result.info.sample_rate_hz, result.info.num_channels),
    output_dir,
    overwrite=True,
  )
  return output_dir


def _print_summary(result: trainer.Result, model_dir: str, saved_model: str) -> None:
  if result.probes:
    print(f"\nFrozen features on the test split:\n{probe.table(result.probes)}")
  print(
    f"""
Everything lies in {model_dir}:
  {configuration.OPERATIVE_CONFIG:22} what was run, every setting
  {trainer.CHECKPOINTS + '/':22} weights, optimiser and memory banks; the same command goes on from them
  {callbacks.METRICS_FILE:22} losses, rates and probes, a line each
  tensorboard/           curves: tensorboard --logdir={model_dir}
  saved_model/           frames and waveforms in, features and embeddings out"""
  )
  print(f"Look into it: saved_model_cli show --dir={saved_model} --all")


if __name__ == "__main__":
  app.run(main)

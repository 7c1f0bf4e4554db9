"""Trains a model, probes it, exports it, and prints the location of every output.

  python -m avssl_tf.train --gin_file=gin/avid.gin

Rerun an interrupted command to resume it.
"""

import contextlib
import os
import shlex
from typing import Optional

from absl import app, flags

from avssl_tf import cli, local_paths
from avssl_tf.evaluation.frozen import probe
from avssl_tf.foreign_text import printable
from avssl_tf.inference import saved_model_folder, serving
from avssl_tf.report import page, projector, run_report
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import loading, run_folder, strategies, trainer
from avssl_tf.training.configurations import configuration

cli.define_gin_flags()
_MODEL_DIR = local_paths.define_flag(
  "model_dir", None, "Folder of the run; default: runs/<names of the gin files>."
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "Delete the run in --model_dir and start again."
)
_VIRTUAL_DEVICES = flags.DEFINE_integer(
  "virtual_devices", 0, "Number of virtual CPU replicas for MirroredStrategy; 0 or 1: none."
)


def main(argv: Optional[list[str]] = None) -> None:
  """Reads the configuration and trains.

  Args:
    argv: name of the program and its arguments; None: those of the process.
  """
  cli.main(
    _train, stopped="Stopped. Rerun the command to resume from the last checkpoint.", argv=argv
  )


def _train() -> None:
  if not flags.FLAGS.gin_file:
    raise app.UsageError("Set a configuration, for example --gin_file=gin/avid.gin.")
  names = [os.path.splitext(os.path.basename(path))[0] for path in flags.FLAGS.gin_file]
  model_dir = _MODEL_DIR.value or os.path.join("runs", "+".join(names))
  with strategies.lost_workers_named():
    _run(model_dir)


def _run(model_dir: str) -> None:
  configuration.parse(flags.FLAGS.gin_file, flags.FLAGS.gin_param)
  configuration.check_complete(trainer.train)
  strategy = strategies.create(_VIRTUAL_DEVICES.value)
  with contextlib.ExitStack() as stack:

    def prepare():
      stack.enter_context(run_folder.claimed(model_dir))
      if _OVERWRITE.value:
        run_folder.clear(model_dir)
      # Checked before the training rather than after it.
      saved_model = os.path.abspath(os.path.join(model_dir, run_folder.SAVED_MODEL))
      saved_model_folder.check(saved_model, overwrite=True)
      page.check(os.path.join(model_dir, run_folder.REPORT))

    strategies.on_chief(strategy, prepare)
    result = trainer.train(model_dir=model_dir, strategy=strategy)
    strategies.on_chief(strategy, lambda: _finish(result, model_dir))


def _finish(result: trainer.Result, model_dir: str) -> None:
  """Exports the network, writes the report, and prints the outputs."""
  saved_model = os.path.join(model_dir, run_folder.SAVED_MODEL)
  if strategies.count_workers() < 2:
    trained = loading.of_memory(model_dir, result.task.network)
  else:  # Reading the variables in memory would require all workers.
    trained = loading.load(model_dir)
  serving.export(trained.network, trained.input_spec, saved_model, overwrite=True)
  if result.probes:
    steps = sorted({min(result.probes), max(result.probes)})
    columns = {("trained" if step else "untrained"): result.probes[step] for step in steps}
    print(f"\nProbe of the frozen network:\n{probe.table(columns)}")
  reported = ReportedRun(model_dir, trained)
  if not reported.generates:
    projector.write(os.path.join(model_dir, run_folder.TENSORBOARD), reported.embeddings)
  run_report.write(reported, progress=True)
  shown = shlex.quote(printable(model_dir))
  outputs = "sound fields" if reported.generates else "embeddings"
  print(
    f"""
Outputs in {printable(model_dir)}:
  {run_folder.REPORT:22} HTML report: open it in a browser
  {run_folder.OPERATIVE_CONFIG:22} configuration with all settings
  {run_folder.CHECKPOINTS + "/":22} weights, optimiser, memory banks; rerun the command to resume
  {run_folder.METRICS:22} losses, learning rate, throughput and probe results by step
  {run_folder.TENSORBOARD + "/":22} curves, batches, embeddings: tensorboard --logdir={shown}
  {run_folder.SAVED_MODEL + "/":22} SavedModel: frames and waveforms to {outputs}
Signatures: saved_model_cli show --dir={os.path.join(shown, run_folder.SAVED_MODEL)} --all"""
  )
  note = local_paths.pattern_note(model_dir)
  if note:
    print(note)


if __name__ == "__main__":
  main()

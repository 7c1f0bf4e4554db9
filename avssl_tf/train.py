"""Trains a model, probes it, exports it, and says where everything lies.

  python -m avssl_tf.train --gin_file=gin/avid.gin

The same command again goes on where it stopped.
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
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Start anew: deletes the run in --model_dir.")
_VIRTUAL_DEVICES = flags.DEFINE_integer(
  "virtual_devices", 0, "Train on so many virtual CPUs by MirroredStrategy."
)


def main(argv: Optional[list[str]] = None) -> None:
  """Reads the configuration and does the run.

  Args:
    argv: name of the program and its arguments; None: those of the process.
  """
  cli.main(_train, stopped="Stopped. The same command resumes from the last checkpoint.", argv=argv)


def _train() -> None:
  if not flags.FLAGS.gin_file:
    raise app.UsageError("Name a configuration, for example --gin_file=gin/avid.gin.")
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
      # What would be in the way at the end should not come up after hours of training.
      saved_model = os.path.abspath(os.path.join(model_dir, run_folder.SAVED_MODEL))
      saved_model_folder.check(saved_model, overwrite=True)
      page.check(os.path.join(model_dir, run_folder.REPORT))

    strategies.on_chief(strategy, prepare)
    result = trainer.train(model_dir=model_dir, strategy=strategy)
    strategies.on_chief(strategy, lambda: _finish(result, model_dir))


def _finish(result: trainer.Result, model_dir: str) -> None:
  """Exports the network, and prints what there is."""
  saved_model = os.path.join(model_dir, run_folder.SAVED_MODEL)
  if strategies.count_workers() < 2:
    trained = loading.of_memory(model_dir, result.task.network)
  else:  # All workers would have to take part in reading the variables.
    trained = loading.load(model_dir)
  serving.export(trained.network, trained.input_spec, saved_model, overwrite=True)
  if result.probes:
    steps = sorted({min(result.probes), max(result.probes)})
    columns = {("trained" if step else "untrained"): result.probes[step] for step in steps}
    print(f"\nThe probe of frozen weights:\n{probe.table(columns)}")
  reported = ReportedRun(model_dir, trained)
  if not reported.generates:
    projector.write(os.path.join(model_dir, run_folder.TENSORBOARD), reported.embeddings)
  run_report.write(reported, progress=True)
  shown = shlex.quote(printable(model_dir))
  print(
    f"""
Everything lies in {printable(model_dir)}:
  {run_folder.REPORT:22} a page to look at and to show: open it in a browser
  {run_folder.OPERATIVE_CONFIG:22} what was run, every setting
  {run_folder.CHECKPOINTS + "/":22} weights, optimiser, memory banks; the same command goes on
  {run_folder.METRICS:22} losses, rates and probes, a line each
  {run_folder.TENSORBOARD + "/":22} curves, batches, embeddings: tensorboard --logdir={shown}
  {run_folder.SAVED_MODEL + "/":22} frames and waveforms in, what the network makes of them out
Look into it: saved_model_cli show --dir={os.path.join(shown, run_folder.SAVED_MODEL)} --all"""
  )
  note = local_paths.pattern_note(model_dir)
  if note:
    print(note)


if __name__ == "__main__":
  main()

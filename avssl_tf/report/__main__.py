"""Writes the HTML report of a run, or a comparison of several runs.

  python -m avssl_tf.report runs/avid
  python -m avssl_tf.report runs/avid runs/avid_cma

For one run, this writes report.html in its folder, as training does. For several runs, it writes a
comparison, and the missing reports. The pages are self-contained: they load no other files and
require no network.
"""

import os

from absl import app

from avssl_tf import cli, local_paths
from avssl_tf.foreign_text import printable
from avssl_tf.report import run_report
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import run_folder

_OUTPUT = local_paths.define_flag(
  "output", None, "Output file of a comparison; default: comparison.html in the parent folder."
)


def main() -> None:
  """Writes the pages and prints their paths."""
  cli.main(_write, "Stopped. Existing pages are unchanged.", takes_arguments=True)


def _write(model_dirs: list[str]) -> None:
  if not model_dirs:
    raise app.UsageError("Pass the folder of a run, or of several to compare: runs/avid.")
  for model_dir in model_dirs:
    local_paths.check(model_dir, "folder of a run")
  if len(model_dirs) == 1:
    if _OUTPUT.value:
      raise app.UsageError("--output requires several runs to compare; got one.")
    print(f"Report: {printable(run_report.write(ReportedRun(model_dirs[0]), progress=True))}")
    return
  path = _OUTPUT.value or run_report.default_comparison(model_dirs)
  for model_dir in model_dirs:
    if not os.path.exists(os.path.join(model_dir, run_folder.REPORT)):
      print(f"Report: {printable(run_report.write(ReportedRun(model_dir), progress=True))}")
  run_report.compare(model_dirs, path)
  print(f"Comparison: {printable(path)}")


if __name__ == "__main__":
  main()

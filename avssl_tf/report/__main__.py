"""Makes a page of a run, or one that compares several.

  python -m avssl_tf.report runs/avid
  python -m avssl_tf.report runs/avid runs/avid_cma

Of one run: report.html in its folder, which training writes as well. Of several: a comparison, and
the report of each that has none. The pages need no other file and no network.
"""

import os

from absl import app

from avssl_tf import cli, local_paths
from avssl_tf.foreign_text import printable
from avssl_tf.report import run_report
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import run_folder

_OUTPUT = local_paths.define_flag(
  "output", None, "Page of the comparison of several runs; default: comparison.html beside them."
)


def main() -> None:
  """Writes the pages and says where they are."""
  cli.main(_write, "Stopped. Pages that were there are unchanged.", takes_arguments=True)


def _write(model_dirs: list[str]) -> None:
  if not model_dirs:
    raise app.UsageError("Name the folder of a run, or of several to compare: runs/avid.")
  for model_dir in model_dirs:
    local_paths.check(model_dir, "folder of a run")
  if len(model_dirs) == 1:
    if _OUTPUT.value:
      raise app.UsageError("--output names the comparison of several runs; there is one.")
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

"""Exports a run as a SavedModel with raw frames and waveforms as inputs.

  python -m avssl_tf.export --model_dir=runs/avid --output_dir=exported/avid

Inspect the result without writing code:

  saved_model_cli show --dir=exported/avid --all
"""

import os
from typing import Optional

from absl import flags

from avssl_tf import cli, local_paths
from avssl_tf.foreign_text import printable
from avssl_tf.inference import saved_model_folder, serving
from avssl_tf.training import loading

_MODEL_DIR = local_paths.define_flag(
  "model_dir", None, "Folder of a run or a converted checkpoint.", required=True
)
_OUTPUT_DIR = local_paths.define_flag(
  "output_dir", None, "Folder to write the SavedModel to.", required=True
)
_ANY_SIZE = flags.DEFINE_bool(
  "any_size",
  False,
  "Accept any number and size of frames and any audio length, not only those used in training.",
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "Replace a SavedModel at --output_dir that this command wrote."
)


def main(argv: Optional[list[str]] = None) -> None:
  """Loads the run and exports its model.

  Args:
    argv: program name and arguments; None uses those of the process.
  """
  cli.main(_export, stopped="Stopped; nothing was written.", argv=argv)


def _export() -> None:
  saved_model_folder.check(os.path.abspath(_OUTPUT_DIR.value), _OVERWRITE.value)
  loaded = loading.load(_MODEL_DIR.value)
  serving.export(
    loaded.network,
    loaded.input_spec,
    _OUTPUT_DIR.value,
    any_size=_ANY_SIZE.value,
    overwrite=_OVERWRITE.value,
  )
  print(f"Wrote the SavedModel {printable(_OUTPUT_DIR.value)}.")
  note = local_paths.pattern_note(_OUTPUT_DIR.value)
  if note:
    print(note)


if __name__ == "__main__":
  main()

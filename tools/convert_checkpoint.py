"""Converts a published PyTorch checkpoint of AVID or AVID-CMA.

  python tools/convert_checkpoint.py --input=AVID_checkpoint.pth.tar --output_dir=runs/published

Writes networks, heads, memory banks and the NCE constant as a checkpoint with its configuration,
which every command accepts as `--model_dir`. Prints the mapping of every entry. If an entry is
missing or unexpected, it ends with an error and writes nothing. Reading the file requires PyTorch,
which the rest of the project does not.

The per-bin statistics of the published spectrograms are in a separate file:
`--spectrogram_statistics` reads the `.npz` with `mean` and `std` of the authors' code.
"""

import os
import sys
from collections.abc import Mapping

import numpy as np

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from avssl_tf import arrays, cli, local_paths  # noqa: E402
from avssl_tf.training import conversion  # noqa: E402

_INPUT = local_paths.define_flag("input", None, "The .pth.tar file.", required=True)
_OUTPUT_DIR = local_paths.define_flag(
  "output_dir", None, "Output folder, new or empty, to use as --model_dir.", required=True
)
_STATISTICS = local_paths.define_flag(
  "spectrogram_statistics", None, "The .npz with `mean` and `std` of each spectrogram bin, in dB."
)


def read(path: str) -> dict[str, object]:
  """Reads a PyTorch checkpoint as a dict, with every tensor as a NumPy array.

  Only tensors and plain containers are unpickled, so a malicious file cannot run code.

  Raises:
    conversion.ConversionError: PyTorch is not installed, or the file is not a checkpoint.
  """
  try:
    import torch
  except ImportError as error:
    raise conversion.ConversionError(
      "Reading a .pth.tar file requires PyTorch, which the rest of the project does not: "
      "`pip install torch` (the CPU build is sufficient), or convert in another environment."
    ) from error
  if not os.path.isfile(path):
    raise conversion.ConversionError(f"--input={path}: no such file.")
  try:
    content = torch.load(path, map_location="cpu", weights_only=True)
  except Exception as error:  # PyTorch documents no exception types; the cause is chained.
    raise conversion.ConversionError(
      f"--input={path} is not a PyTorch checkpoint: {error}"
    ) from error

  def to_numpy(value):
    if isinstance(value, Mapping):
      return {key: to_numpy(v) for key, v in value.items()}
    return value.numpy() if isinstance(value, torch.Tensor) else value

  if not isinstance(content, Mapping):
    raise conversion.ConversionError(
      f"--input={path} contains a {type(content).__name__}; expected a dict."
    )
  return to_numpy(content)


def read_statistics(path: str) -> dict[str, np.ndarray]:
  """Reads `mean` and `std` of each spectrogram bin from an `.npz` file.

  Raises:
    conversion.ConversionError: the file is missing or has other content.
  """
  try:
    with arrays.open_npz(path) as content:
      return {name: content[name] for name in ("mean", "std")}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise conversion.ConversionError(
      f"--spectrogram_statistics={path} is not an .npz with mean and std: {error}"
    ) from error


def main() -> None:
  """Runs the command."""
  cli.main(_run, stopped="Stopped; nothing was written.")


def _run() -> None:
  statistics = read_statistics(_STATISTICS.value) if _STATISTICS.value else None
  checkpoint = read(_INPUT.value)
  report = conversion.convert(
    checkpoint, _OUTPUT_DIR.value, os.path.basename(_INPUT.value), statistics
  )
  print("\n".join(report))
  print(f"Converted: --model_dir={_OUTPUT_DIR.value}")


if __name__ == "__main__":
  main()

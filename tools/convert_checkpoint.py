"""Converts a published PyTorch checkpoint of AVID or AVID-CMA.

  python tools/convert_checkpoint.py --input=AVID_checkpoint.pth.tar --output_dir=runs/published

Networks, heads, memory banks and NCE constant become a checkpoint which, with its
configuration, every command takes as `--model_dir`. Prints what became of every entry and ends
with an error, writing nothing, if one is missing or has no place. Needs PyTorch, to read the
file; nothing else of the project does.

The per-bin statistics of the published spectrograms are a file of their own:
`--spectrogram_statistics` takes the `.npz` with `mean` and `std` that the authors' code reads.
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
  "output_dir", None, "Folder to write, new or empty; a --model_dir afterwards.", required=True
)
_STATISTICS = local_paths.define_flag(
  "spectrogram_statistics", None, "The .npz with `mean` and `std` of each spectrogram bin, in dB."
)


def read(path: str) -> dict[str, object]:
  """Reads a PyTorch checkpoint: its dict, with every tensor as a NumPy array.

  Only tensors and plain containers are unpickled, so that a hostile file cannot run code.

  Raises:
    conversion.ConversionError: PyTorch is not installed, or the file is not a checkpoint.
  """
  try:
    import torch
  except ImportError as error:
    raise conversion.ConversionError(
      "Reading a .pth.tar file needs PyTorch, which the rest of the project does not: "
      "`pip install torch` (the CPU build will do), or convert in another environment."
    ) from error
  if not os.path.isfile(path):
    raise conversion.ConversionError(f"--input={path}: no such file.")
  try:
    content = torch.load(path, map_location="cpu", weights_only=True)
  except Exception as error:  # PyTorch documents no types; the cause is chained.
    raise conversion.ConversionError(
      f"--input={path} is not a PyTorch checkpoint: {error}"
    ) from error

  def to_numpy(value):
    if isinstance(value, Mapping):
      return {key: to_numpy(v) for key, v in value.items()}
    return value.numpy() if isinstance(value, torch.Tensor) else value

  if not isinstance(content, Mapping):
    raise conversion.ConversionError(
      f"--input={path} holds a {type(content).__name__}; expected a dict."
    )
  return to_numpy(content)


def read_statistics(path: str) -> dict[str, np.ndarray]:
  """Reads `mean` and `std` of each spectrogram bin from an `.npz` file.

  Raises:
    conversion.ConversionError: the file is missing or holds something else.
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

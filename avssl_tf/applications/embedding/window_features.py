"""Features and embeddings of windows of media files."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.applications.media_windows import Window
from avssl_tf.inference import features as features_lib
from avssl_tf.inference.encoder import Encoder

# Outputs per modality.
KINDS = ("features", "embeddings")
# Names of all outputs.
NAMES = tuple(f"{modality}_{kind}" for modality in keys.MODALITIES for kind in KINDS)


class WindowFeatures:
  """Computes features and embeddings of windows."""

  def __init__(self, encoder: Encoder):
    """Runs the network once on zeros to find the output sizes, which all windows share."""
    self._encoder = encoder
    clip = encoder.ordinary_clip
    frames = np.zeros([1, clip.num_frames, clip.frame_size, clip.frame_size, 3], np.uint8)
    samples = clip.num_samples(encoder.sample_rate_hz)
    waveform = np.zeros([1, samples, encoder.num_channels], np.float32)
    nothing = {
      **self._extract(keys.VIDEO, frames),
      **self._extract(keys.AUDIO, waveform),
    }
    self._sizes = {name: array.shape[1] for name, array in nothing.items()}

  def __call__(self, windows: Sequence[Window]) -> dict[str, np.ndarray]:
    """Computes features and embeddings of a batch of windows.

    Args:
      windows: N windows.

    Returns:
      float32 `[N, D]` for each of `NAMES`, with NaN in the rows of windows without the modality.
      Embeddings have unit length.
    """
    rows = {
      name: np.full([len(windows), size], np.nan, np.float32) for name, size in self._sizes.items()
    }
    for modality in keys.MODALITIES:
      there = [i for i, window in enumerate(windows) if modality in window.inputs]
      if there:
        found = self._extract(modality, np.stack([windows[i].inputs[modality] for i in there]))
        for name, array in found.items():
          rows[name][there] = array
    return rows

  def _extract(self, modality: str, batch: np.ndarray) -> dict[str, np.ndarray]:
    dataset = tf.data.Dataset.from_tensors({modality: batch, keys.INDEX: np.arange(len(batch))})
    found = features_lib.extract(self._encoder, dataset, modalities=[modality])
    return {f"{modality}_{kind}": getattr(found, f"{modality}_{kind}") for kind in KINDS}

"""Creates networks of this package by name, without gin files."""

from typing import Optional

from avssl_tf.errors import UserError
from avssl_tf.models.audio_net import AudioNet
from avssl_tf.models.av_model import AudioVisualModel
from avssl_tf.models.front_end import AudioFrontEnd, VideoFrontEnd
from avssl_tf.models.projection import MLPHead
from avssl_tf.models.r2plus1d import R2Plus1D
from avssl_tf.spectrograms import Spectrogram

# Depth of each video network, by name.
VIDEO_NETWORKS = {f"r2plus1d_{depth}": depth for depth in (6, 10, 18, 34)}
_HIDDEN_WIDTHS = (512, 512)


def audio_visual(
  video_network: str = "r2plus1d_18",
  embedding_dim: int = 128,
  spectrogram: Optional[Spectrogram] = None,
) -> AudioVisualModel:
  """Creates the two-tower network of AVID, with random weights.

  It has an R(2+1)D network for frames (`R2Plus1D`), a 2-D convolutional network for log
  spectrograms (`AudioNet`), and a projection head with two hidden layers for each (`MLPHead`).
  To normalise the spectrogram, call `network.audio_front_end.set_statistics(mean, std)` with the
  mean and standard deviation of each bin.

  Args:
    video_network: `"r2plus1d_6"`, `"r2plus1d_10"`, `"r2plus1d_18"` or `"r2plus1d_34"`; the number
      is the depth.
    embedding_dim: dimension E of the embeddings.
    spectrogram: the spectrogram of the audio; None for log power in 257 bins of audio at 24 kHz,
      as in AVID.

  Returns:
    A model for batches `{"video": uint8 [B, T, H, W, 3], "audio": float32 [B, samples, C]}`; see
    `AudioVisualModel.call`.

  Raises:
    UserError: the network is unknown, or the dimension is not positive.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3 and appendix. `"r2plus1d_6"`: this project.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> network = models.audio_visual("r2plus1d_6", embedding_dim=16)
    >>> frames = tf.zeros([1, 4, 32, 32, 3], tf.uint8)
    >>> outputs = network({"video": frames, "audio": tf.zeros([1, 12000, 1])})
    >>> outputs["video"]["features"].shape, outputs["audio"]["embedding"].shape
    (TensorShape([1, 512]), TensorShape([1, 16]))
  """
  if video_network not in VIDEO_NETWORKS:
    raise UserError(
      f"video_network is {video_network!r}; expected one of {', '.join(VIDEO_NETWORKS)}."
    )
  if embedding_dim < 1:
    raise UserError(f"embedding_dim is {embedding_dim}; expected 1 or more.")
  widths = (*_HIDDEN_WIDTHS, embedding_dim)
  return AudioVisualModel(
    video_front_end=VideoFrontEnd(),
    video_net=R2Plus1D(depth=VIDEO_NETWORKS[video_network]),
    video_head=MLPHead(widths, name="video_head"),
    audio_front_end=AudioFrontEnd(spectrogram or Spectrogram()),
    audio_net=AudioNet(),
    audio_head=MLPHead(widths, name="audio_head"),
  )

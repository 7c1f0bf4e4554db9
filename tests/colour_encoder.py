"""An encoder with predictable embeddings: red frames match low tones."""

import tensorflow as tf

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference.encoder import Encoder

SAMPLE_RATE_HZ = 8000
CLIP = ClipSpec(num_frames=4, frame_rate_hz=8.0, frame_size=16, audio_sec=1.0)
# Of tones that match red, green and blue: in the centres of the thirds of the spectrum.
TONES_HZ = (650.0, 2000.0, 3300.0)


def make(num_channels: int = 1, clip: ClipSpec = CLIP) -> Encoder:
  """The encoder, for audio with this number of channels; only the first is used."""
  return Encoder(
    clip=clip,
    sample_rate_hz=SAMPLE_RATE_HZ,
    num_channels=num_channels,
    embed_video=_embed_video,
    embed_audio=_embed_audio,
    video_maps=_embed_video,
    audio_maps=_embed_audio,
    embed_video_positions=_embed_video,
  )


def load(model_dir: str) -> Encoder:
  """The encoder, for functions that load a network from a folder."""
  del model_dir
  return make()


def _embed_video(frames):
  color = tf.reduce_mean(tf.cast(frames, tf.float32) / 255.0, axis=[1, 2, 3])
  return {"features": color, "embedding": tf.math.l2_normalize(color, axis=-1)}


def _embed_audio(waveform):
  spectrum = tf.abs(tf.signal.rfft(waveform[..., 0]))
  edges = [round(i / 3 * int(spectrum.shape[1])) for i in range(4)]
  bands = [tf.reduce_mean(spectrum[:, a:b], axis=1) for a, b in zip(edges, edges[1:])]
  power = tf.stack(bands, axis=1)
  # One dimension more than that of frames: the features of the two modalities differ.
  features = tf.concat([power, tf.reduce_sum(power, axis=1, keepdims=True)], axis=1)
  return {"features": features, "embedding": tf.math.l2_normalize(power, axis=-1)}

"""Audio-visual self-supervised learning in TensorFlow and Keras.

>>> import avssl_tf
>>> objective = avssl_tf.losses.AVID(num_rows=50_000, dim=128)
>>> network = avssl_tf.models.audio_visual("r2plus1d_18", embedding_dim=128)

`load` reads what was trained or exported. `data` reads records and media, `losses` and `models` are
Keras layers and pure functions for any Keras code, `spatial` has ambisonics and 360° geometry,
`tasks` joins networks and losses for `fit`, `evaluation` measures what was learnt.
"""

from avssl_tf import lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {"errors": ["UserError"], "spectrograms": ["Spectrogram"], "training.loading": ["load"]},
  ["data", "evaluation", "inference", "losses", "models", "spatial", "tasks"],
)

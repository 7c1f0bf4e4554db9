"""Audio-visual self-supervised learning in TensorFlow and Keras.

>>> import avssl_tf
>>> objective = avssl_tf.losses.AVID(num_rows=50_000, dim=128)
>>> network = avssl_tf.models.audio_visual("r2plus1d_18", embedding_dim=128)

`load` loads trained and exported networks. `data` reads records and media. `losses` and `models`
contain Keras layers and pure functions for any Keras code, `spatial` ambisonics and 360° geometry.
`tasks` combines networks and losses for Keras `fit`, `evaluation` evaluates trained networks, and
`inference` applies them. A `UserError` is an error that the user can correct.
"""

from avssl_tf import keras_choice, lazy

keras_choice.choose_keras_2()

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {"errors": ["UserError"], "spectrograms": ["Spectrogram"], "training.loading": ["load"]},
  ["data", "evaluation", "inference", "losses", "models", "spatial", "tasks"],
)

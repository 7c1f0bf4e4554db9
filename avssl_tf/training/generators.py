"""Loading generators of sound fields: of runs and of SavedModels."""

import dataclasses
from typing import Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.inference import origin, serving
from avssl_tf.inference.generator import Generator
from avssl_tf.models.spatial_unet import SpatialUNet
from avssl_tf.training import encoders, run
from avssl_tf.training.settings import ConfigurationError


@dataclasses.dataclass(frozen=True)
class LoadedGenerator:
  """A generator and where it comes from.

  Attributes:
    generator: the generator.
    weights: name of what holds its weights, and a checksum of them.
    data_dir: records that it was trained on, as named then; None where that is not known.
  """

  generator: Generator
  weights: str
  data_dir: Optional[str]


def load(model_dir: str) -> LoadedGenerator:
  """Loads the network of a run, or a SavedModel, that generates sound fields.

  The present gin configuration stays as it is; the precision of Keras becomes that of the run.

  Args:
    model_dir: folder of one of these.

  Raises:
    UserError: `model_dir` is none of these, or holds a network of another kind.
    MissingFileError: the run has no checkpoint yet.
  """
  encoders.check_model_dir(model_dir)
  if encoders.is_saved_model(model_dir):
    return _load_saved_model(model_dir)
  with encoders.present_configuration_kept():
    loaded = run.load(model_dir)
  if not isinstance(loaded.model, SpatialUNet):
    raise _not_a_generator(model_dir)
  generator = Generator(loaded.clip, loaded.sample_rate_hz, tf.function(loaded.model.generate))
  return LoadedGenerator(generator, encoders.identity(loaded.checkpoint), loaded.data_dir or None)


def _load_saved_model(path: str) -> LoadedGenerator:
  spec = serving.InputSpec.load(path)
  module = origin.load(path)
  signature = module.signatures[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]
  if "field" not in signature.structured_outputs:
    raise _not_a_generator(path)
  inputs = list(signature.structured_input_signature[1])

  def generate(batch: keys.Batch) -> tf.Tensor:
    given = {**batch, keys.AUDIO: batch[keys.AUDIO][..., :1]}
    # The signature is a part of the module, which has to live as long as it does.
    return module.signatures[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY](
      **{name: given[name] for name in inputs}
    )["field"]

  generator = Generator(spec.clip(), spec.sample_rate_hz, generate)
  return LoadedGenerator(generator, encoders.identity_of_saved_model(path), data_dir=None)


def _not_a_generator(model_dir: str) -> ConfigurationError:
  return ConfigurationError(
    f"--model_dir={model_dir} holds no network that generates sound fields; expected one that was "
    "trained with gin/spatial_audio.gin."
  )

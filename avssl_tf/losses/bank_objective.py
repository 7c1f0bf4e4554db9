"""What all objectives with memory banks share: the banks, the draw of negatives, the update."""

import abc
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, INDEX, VIDEO, Tensor
from avssl_tf.losses import memory_bank
from avssl_tf.progress import OnProgress


class BankObjective(tf.keras.layers.Layer, abc.ABC):
  """Base of objectives that compare embeddings with a bank of videos and one of sounds.

  A Keras layer for any model, in Keras `fit` or in a custom loop, under any policy and strategy:

  >>> from avssl_tf.losses.avid import AVID
  >>> objective = AVID(num_rows=1000, dim=8)
  >>> video, audio = tf.random.normal([2, 4, 8])  # Of any networks.
  >>> batch = {"video": video, "audio": audio, "index": tf.constant([0, 17, 999, 5])}
  >>> loss = objective(batch, training=True)["loss"]
  >>> loss.shape, bool(loss > 0), int(objective.step)
  (TensorShape([]), True, 1)

  Only training writes: it updates the rows of the batch in both banks with the embeddings of all
  replicas, after the scores are read. Otherwise all variables stay as they are. A subclass defines
  the loss (`loss_of`), and may update state between epochs (`begin_epoch`, for Keras `fit` in a
  `tf.keras.callbacks.LambdaCallback(on_epoch_begin=...)`).

  Attributes:
    video_bank: a row for each training video.
    audio_bank: the same of their sounds.
    step: training steps so far; the negatives are a function of it.
    warmup_epochs: epochs before it makes use of what the banks know beside the scores; None: it
      never does.
    normalizer: variable, the NCE constant; None where scores are not normalised by one.
  """

  warmup_epochs: Optional[int] = None

  def __init__(
    self,
    num_rows: int,
    dim: int,
    num_negatives: int,
    temperature: float,
    momentum: float,
    seed: int,
    **kwargs,
  ):
    """Creates the banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      num_negatives: K, drawn anew for each sample, the same rows in both banks.
      temperature: of the scores.
      momentum: of the banks.
      seed: of the banks' start and of the negatives.
      **kwargs: of the Keras layer.

    Raises:
      UserError: the temperature or the number of negatives is not positive.
    """
    super().__init__(dtype="float32", **kwargs)
    if temperature <= 0 or num_negatives < 1:
      raise UserError(
        f"temperature and num_negatives must be positive, got {temperature} and {num_negatives}."
      )
    self._num_negatives = num_negatives
    self._temperature = temperature
    self._seed = seed
    self.video_bank = memory_bank.MemoryBank(
      num_rows, dim, momentum, seed=2 * seed, name="video_bank"
    )
    self.audio_bank = memory_bank.MemoryBank(
      num_rows, dim, momentum, seed=2 * seed + 1, name="audio_bank"
    )
    self.step = self._state("step", tf.int64)
    self.normalizer: Optional[tf.Variable] = None

  @property
  def num_rows(self) -> int:
    """Number of training videos N."""
    return self.video_bank.num_rows

  def _state(self, name: str, dtype: tf.DType, shape=(), initializer="zeros") -> tf.Variable:
    """A variable that is checkpointed and alike on all replicas."""
    return self.add_weight(
      name=name,
      shape=shape,
      dtype=dtype,
      initializer=initializer,
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )

  def begin_epoch(
    self,
    epoch: int,
    strategy: Optional[tf.distribute.Strategy] = None,
    progress: Optional[OnProgress] = None,
  ) -> dict[str, Union[float, np.ndarray]]:
    """Updates the state of the objective between epochs; called outside of any replica.

    A run that resumes at the start of an epoch calls it again, to the same effect.

    Args:
      epoch: number of the epoch that begins, from 0.
      strategy: the strategy that the objective was made under; None: the current one.
      progress: called with how much is done and how much there is, where it takes long.

    Returns:
      What there is to log, by name: numbers, and arrays `[n]` of which a histogram is of use.
    """
    del epoch, strategy, progress
    return {}

  def call(self, embeddings: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
    """Draws negatives and computes the loss; in training, updates the banks.

    Args:
      embeddings: `{"video": [B, D], "audio": [B, D], "index": [B]}`: embeddings of any float type,
        normalised here, and rows of the banks, of any integer type, in 0..N-1.
      training: whether to update the banks and the other variables; a Python bool.

    Returns:
      Float32 scalars: `"loss"`, the mean over this replica's batch, and others to log.

    Raises:
      UserError: an embedding or index is missing, or has another type or size.
      tf.errors.InvalidArgumentError: an index is outside of 0..N-1; the message names it.
    """
    embeddings = self._checked(embeddings)
    seed = tf.stack([self._seed, tf.cast(self.step, tf.int32)])
    seed = tf.random.experimental.stateless_fold_in(seed, replicas.replica_id())
    negatives = self.draw_negatives(embeddings[INDEX], seed)
    losses = self.loss_of(embeddings, negatives, training)
    if training:
      self.step.assign_add(1)
    return losses

  def _checked(self, embeddings: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with an index of int64, once sizes and types are known to be right."""
    name = type(self).__name__
    missing = [key for key in (VIDEO, AUDIO, INDEX) if key not in embeddings]
    if missing:
      raise UserError(
        f"{name} got no {' and no '.join(map(repr, missing))}; expected a dict with 'video', "
        "'audio' and 'index'."
      )
    dim = self.video_bank.rows.shape[1]
    for modality in (VIDEO, AUDIO):
      value = tf.convert_to_tensor(embeddings[modality])
      if not value.dtype.is_floating or not value.shape.is_compatible_with([None, dim]):
        raise UserError(
          f"{name} got {modality!r} of {value.dtype.name} {value.shape}; expected embeddings of "
          f"the size of its memory banks, floats [B, {dim}]."
        )
    index = tf.convert_to_tensor(embeddings[INDEX])
    shape = tf.TensorShape([embeddings[VIDEO].shape[0]])
    if not index.dtype.is_integer or not index.shape.is_compatible_with(shape):
      raise UserError(
        f"{name} got 'index' of {index.dtype.name} {index.shape}; expected a row of the memory "
        f"banks for each embedding, integers {shape}."
      )
    index = tf.cast(index, tf.int64)
    check = tf.debugging.Assert(
      tf.reduce_all((index >= 0) & (index < self.num_rows)),
      [f"{name}: 'index' is outside of the {self.num_rows} rows of its memory banks (num_rows):",
       index],
      summarize=16,
    )  # fmt: skip
    # Gathering such rows gives zeros on a GPU, and writing them nothing.
    with tf.control_dependencies([check]):
      return {**embeddings, INDEX: tf.identity(index)}

  def draw_negatives(self, index: Tensor, seed: Tensor) -> Tensor:
    """Draws the negatives of samples.

    Args:
      index: int64 `[B]`, rows of the samples.
      seed: int32 `[2]`.

    Returns:
      int64 `[B, K]`, rows of the banks.
    """
    return memory_bank.draw_negatives(
      index[:, tf.newaxis], self.num_rows, self._num_negatives, seed
    )

  @abc.abstractmethod
  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """`call` with the negatives given, int64 `[B, K]`, and an index of int64."""

  def fill(self, embeddings: dict[str, Tensor]) -> None:
    """Replaces the rows of a batch by its embeddings; arguments and errors of `call`."""
    embeddings = self._checked(embeddings)
    self._write(embeddings[INDEX], self._queries(embeddings), overwrite=True, after=[])

  def bank_cosines(self) -> np.ndarray:
    """Cosine of the two rows of each video, float32 `[N]`; called outside of any replica."""
    video, audio = self.video_bank.rows.numpy(), self.audio_bank.rows.numpy()
    return np.einsum("nd,nd->n", video, audio)

  def _queries(self, embeddings: dict[str, Tensor]) -> dict[str, Tensor]:
    """The embeddings by modality, float32 `[B, D]`, L2-normalised."""
    return {
      m: tf.math.l2_normalize(tf.cast(embeddings[m], tf.float32), axis=-1) for m in (VIDEO, AUDIO)
    }

  def _bank(self, modality: str) -> memory_bank.MemoryBank:
    return {VIDEO: self.video_bank, AUDIO: self.audio_bank}[modality]

  def _write(self, index: Tensor, queries: dict[str, Tensor], overwrite: bool, after: Any) -> None:
    """Writes the embeddings of all replicas into the banks, once `after` is computed."""
    indices = replicas.all_gather(index)
    gathered = {m: replicas.all_gather(query) for m, query in queries.items()}
    # The scores are of the banks before this batch, whatever order a graph finds.
    with tf.control_dependencies(after):
      for modality in (VIDEO, AUDIO):
        bank = self._bank(modality)
        write = bank.overwrite if overwrite else bank.update
        write(indices, gathered[modality])

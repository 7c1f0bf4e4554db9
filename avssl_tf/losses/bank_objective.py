"""Base of objectives with memory banks: banks, sampling of negatives, bank updates."""

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
  """Base of objectives that contrast embeddings with a video bank and an audio bank.

  A Keras layer for any model, for Keras `fit` or a custom training loop, under any mixed-precision
  policy and distribution strategy. `call` draws the negatives and computes the loss.

  With `training=True`, `call` also updates the rows of the batch in both banks with the embeddings
  of all replicas, after the scores have been computed from the old rows. With `training=False` no
  variable changes. A subclass defines the loss (`loss_of`), and may update state between epochs
  (`begin_epoch`; with Keras `fit`, call it from a
  `tf.keras.callbacks.LambdaCallback(on_epoch_begin=...)`).

  Attributes:
    video_bank: `MemoryBank` with one row per training video, `video_bank.rows` float32 `[N, D]`.
    audio_bank: the same for the audio of these videos.
    step: int64 scalar variable, number of training steps so far; the negatives depend on it.
    warmup_epochs: number of epochs before the objective uses the banks for more than scores; None
      if it never does.
    normalizer: float32 scalar variable, the NCE constant Z; None if the loss does not use one.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3 (memory banks and sampling of negatives).

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> objective = losses.AVID(num_rows=1000, dim=8)  # A subclass.
    >>> video, audio = tf.random.normal([2, 4, 8])  # Outputs of any networks.
    >>> batch = {"video": video, "audio": audio, "index": tf.constant([0, 17, 999, 5])}
    >>> loss = objective(batch, training=True)["loss"]
    >>> loss.shape, bool(loss > 0), int(objective.step)
    (TensorShape([]), True, 1)
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
    **kwargs: Any,
  ):
    """Creates the banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      num_negatives: K, drawn separately for each sample; the same rows in both banks.
      temperature: tau, which divides the cosines; positive.
      momentum: share of the old row that a bank update keeps, in 0..1.
      seed: seed of the initial banks and of the negatives.
      **kwargs: keyword arguments of `tf.keras.layers.Layer`.

    Raises:
      UserError: the temperature or the number of negatives is not positive, the momentum is outside
        0..1, or there are fewer than 2 rows.
    """
    super().__init__(dtype="float32", **kwargs)
    if temperature <= 0 or num_negatives < 1:
      raise UserError(
        f"temperature is {temperature} and num_negatives is {num_negatives}; expected more than 0, "
        "and 1 or more."
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
    """A variable that is checkpointed and identical on all replicas."""
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
    """Updates the state of the objective between epochs; call it in cross-replica context.

    A run that resumes at the start of an epoch calls it again, with the same result.

    Args:
      epoch: number of the epoch that begins, from 0.
      strategy: the distribution strategy under which the objective was created; None for the
        current one.
      progress: called with the amount of work done and the total, if the update takes long.

    Returns:
      Values to log, by name: numbers, and arrays `[n]` to log as histograms.
    """
    del epoch, strategy, progress
    return {}

  def call(self, embeddings: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
    """Draws negatives and computes the loss; in training, also updates the banks.

    Args:
      embeddings: `{"video": [B, D], "audio": [B, D], "index": [B]}`. Embeddings of any float type,
        which the objective normalises, and row numbers of any integer type, in 0..N-1.
      training: whether to update the banks and the other variables; a Python bool.

    Returns:
      float32 scalars: `"loss"`, the mean over the batch of this replica, and further values to log.

    Raises:
      UserError: an embedding or the index is missing, or has the wrong type or shape.
      tf.errors.InvalidArgumentError: an index is outside 0..N-1; the message states the index.
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
    """The same with an int64 index, after validation of shapes, types and the index."""
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
      [f"{name}: 'index' is outside the {self.num_rows} rows of its memory banks (num_rows):",
       index],
      summarize=16,
    )  # fmt: skip
    # On a GPU, gathering rows that do not exist returns zeros, and writing them does nothing.
    with tf.control_dependencies([check]):
      return {**embeddings, INDEX: tf.identity(index)}

  def draw_negatives(self, index: Tensor, seed: Tensor) -> Tensor:
    """Draws the negatives of samples.

    Args:
      index: int64 `[B]`, row numbers of the samples.
      seed: int32 `[2]`; the result is a pure function of it.

    Returns:
      int64 `[B, K]`, row numbers of the banks.
    """
    return memory_bank.draw_negatives(
      index[:, tf.newaxis], self.num_rows, self._num_negatives, seed
    )

  @abc.abstractmethod
  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """Computes the loss with given negatives; `call` is the usual entry point.

    Args:
      embeddings: `{"video": [B, D], "audio": [B, D], "index": [B]}` as in `call`, with an int64
        index that is known to be valid.
      negatives: int64 `[B, K]`, row numbers of the negatives.
      training: whether to update the banks and the other variables; a Python bool.

    Returns:
      float32 scalars: `"loss"`, and further values to log.
    """

  def fill(self, embeddings: dict[str, Tensor]) -> None:
    """Replaces the rows of a batch with its embeddings, in both banks.

    Args:
      embeddings: as in `call`.

    Raises:
      UserError: an embedding or the index is missing, or has the wrong type or shape.
      tf.errors.InvalidArgumentError: an index is outside 0..N-1.
    """
    embeddings = self._checked(embeddings)
    self._write(embeddings[INDEX], self._queries(embeddings), overwrite=True, after=[])

  def bank_cosines(self) -> np.ndarray:
    """Cosine between the video row and the audio row of each video; call in cross-replica context.

    Returns:
      float32 `[N]`, in -1..1.
    """
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
    # The scores must come from the banks before this batch, in whatever order the graph runs.
    with tf.control_dependencies(after):
      for modality in (VIDEO, AUDIO):
        bank = self._bank(modality)
        write = bank.overwrite if overwrite else bank.update
        write(indices, gathered[modality])

"""What all objectives with memory banks share: the banks, the draw of negatives, the update."""

from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, INDEX, VIDEO, Tensor
from avssl_tf.losses import memory_bank
from avssl_tf.progress import OnProgress


class BankObjective(tf.keras.layers.Layer):
  """Base of objectives that compare embeddings with a bank of videos and one of sounds.

  The banks take in the embeddings of all replicas after the scores are read. A subclass says
  what is lost (`loss_of`), and may keep state that it renews between epochs (`begin_epoch`).

  Attributes:
    video_bank: a row for each training video.
    audio_bank: the same of their sounds.
    step: calls so far; negatives follow from it.
    warmup_epochs: epochs before it makes use of what the banks know beside the scores; None: it
      never does.
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
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, Union[float, np.ndarray]]:
    """Renews what the objective keeps from epoch to epoch; called outside of any replica.

    Called once more when a run goes on from the checkpoint of this epoch's start, to the same
    effect.

    Args:
      epoch: number of the epoch that begins, from 0.
      strategy: the strategy that the objective was made under.
      progress: called with how much is done and how much there is, where it takes long.

    Returns:
      What there is to log, by name: numbers, and arrays `[n]` of which a histogram is of use.
    """
    del epoch, strategy, progress
    return {}

  def call(self, embeddings: dict[str, Tensor]) -> dict[str, Tensor]:
    """Draws negatives, scores, and updates the banks.

    Args:
      embeddings: `{"video": [B, D], "audio": [B, D], "index": int64 [B]}`,
        float32; normalised here.

    Returns:
      Scalars: `"loss"` (over this replica's batch) and what else is to be logged.
    """
    seed = tf.stack([self._seed, tf.cast(self.step, tf.int32)])
    seed = tf.random.experimental.stateless_fold_in(seed, replicas.replica_id())
    negatives = self.draw_negatives(embeddings[INDEX], seed)
    losses = self.loss_of(embeddings, negatives)
    self.step.assign_add(1)
    return losses

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

  def loss_of(self, embeddings: dict[str, Tensor], negatives: Tensor) -> dict[str, Tensor]:
    """`call` with the negatives given: int64 `[B, K]`."""
    raise NotImplementedError

  def fill(self, embeddings: dict[str, Tensor]) -> None:
    """Replaces the rows of a batch by its embeddings (as in `call`)."""
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

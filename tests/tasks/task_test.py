"""Tests of what all tasks share; what is special to each has a test of its own."""

import os

import tensorflow as tf

from avssl_tf.keys import MODALITIES
from avssl_tf.losses import avid, cma
from avssl_tf.tasks.classification import Classification
from avssl_tf.tasks.instance_discrimination import InstanceDiscrimination
from avssl_tf.tasks.spatial_alignment import SpatialAlignment
from avssl_tf.tasks.task import Task
from tests import test_base, tiny_alignment, tiny_av_model, tiny_run


class _MeanFeature(Task):
  """A task in as few lines as it takes."""

  def call(self, batch, training=False):
    return self.network(batch, training=training)

  def losses_of(self, outputs, batch):
    losses = {f"loss/{m}": tf.reduce_mean(tf.square(outputs[m]["features"])) for m in MODALITIES}
    return {"loss": tf.add_n(list(losses.values())), **losses}


class TaskTest(test_base.TestCase):

  def test_losses_are_all_that_a_task_has_to_define(self):
    task = _MeanFeature(tiny_av_model.make(), num_videos=3)
    task.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    batch = {
      "video": tiny_av_model.frames(self.rng, 2), "audio": tiny_av_model.waveforms(self.rng, 2)
    }  # fmt: skip
    losses = [float(task.train_step(batch)["loss"]) for _ in range(5)]
    self.assertLess(losses[-1], losses[0])
    self.assertEqual(task.begin_epoch(0, tf.distribute.get_strategy()), {})
    self.assertIsNone(task.fill_step(batch))
    self.assertIsNone(task.warmup_warning(1))
    with self.assertRaisesRegex(TypeError, "abstract"):
      Task(tiny_av_model.make(), num_videos=3)

  def test_tasks_of_earlier_versions_are_refused(self):
    message = r"Old.losses_of takes \(self, batch\); expected \(self, outputs, batch\)"
    with self.assertRaisesRegex(TypeError, message):

      class Old(_MeanFeature):

        def losses_of(self, batch):
          return super().losses_of(self(batch, training=True), batch)

  def test_checkpoints_hold_the_objective(self):
    # Keras tracks no attribute that the class has too.
    task = InstanceDiscrimination(tiny_run.TinyNetwork(), avid.AVID, num_videos=9)
    path = tf.train.Checkpoint(task=task).write(os.path.join(self.get_temp_dir(), "ckpt"))
    names = [name for name, _ in tf.train.list_variables(path)]
    for part in ("video_bank/rows", "audio_bank/rows", "normalizer", "step"):
      self.assertIn(f"task/objective/{part}/.ATTRIBUTES/VARIABLE_VALUE", names)

  def test_warm_up_of_the_objective_or_of_the_task(self):
    def mined(**arguments):
      return cma.CMA(num_positives=2, warmup_epochs=3, **arguments)

    task = InstanceDiscrimination(tiny_run.TinyNetwork(), mined, num_videos=9)
    self.assertRegex(task.warmup_warning(3), "CMA.warmup_epochs is 3 and train.num_epochs is 3: ")
    self.assertIsNone(task.warmup_warning(4))
    task = SpatialAlignment(tiny_alignment.network(), num_videos=9, warmup_epochs=2)
    self.assertRegex(task.warmup_warning(1), "SpatialAlignment.warmup_epochs is 2 and ")
    task = Classification(tiny_run.TinyNetwork(), num_videos=9, num_classes=2)
    self.assertIsNone(task.warmup_warning(1))


if __name__ == "__main__":
  tf.test.main()

"""Tests of reading gin configurations, and of what is said about mistakes in them."""

import glob
import os
import tempfile

import gin
from absl.testing import absltest, parameterized

from avssl_tf.data.building.media_sources import SOURCES
from avssl_tf.training import configuration, trainer
from tests import source_tree

_AVID = ["gin/avid.gin"]


class ConfigurationTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name

  def write(self, name, text):
    path = os.path.join(self.folder, name)
    with open(path, "w", encoding="utf-8") as f:
      f.write(text)
    return path

  def bound(self, name):
    return gin.get_bindings("train")[name]

  def message(self, files, *params):
    with self.assertRaises(configuration.ConfigurationError) as caught:
      configuration.parse(files, params)
    return str(caught.exception)

  def test_files_and_parameters_compose(self):
    late = self.write("late.gin", "num_epochs = 7\nbatch_size = 5\n")
    configuration.parse([*_AVID, late], ["num_epochs=9"])
    self.assertEqual((self.bound("num_epochs"), self.bound("batch_size")), (9, 5))
    configuration.parse([late, *_AVID][1:])
    self.assertNotEqual(self.bound("num_epochs"), 9)  # Nothing is left of the one before.

  def test_is_found_from_anywhere(self):
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(self.folder)
    configuration.parse(_AVID)
    configuration.check_complete(trainer.train)

  def test_every_configuration_is_sound(self):
    root = str(source_tree.ROOT)
    for path in sorted(glob.glob(os.path.join(root, "gin", "*.gin"))):
      with self.subTest(path):
        configuration.parse([path])
        configuration.check_complete(trainer.train)
    methods = {source.scale: source.method for source in SOURCES.values()}
    for path in sorted(glob.glob(os.path.join(root, "gin", "scale", "*.gin"))):
      with self.subTest(path):
        scale = os.path.splitext(os.path.basename(path))[0]
        method = "avid_cma" if scale.endswith("_cma") else methods.get(scale, "avid")
        configuration.parse([f"gin/{method}.gin", path])
        configuration.check_complete(trainer.train)
    for path in sorted(glob.glob(os.path.join(root, "gin", "world", "*.gin"))):
      with self.subTest(path):
        configuration.parse(["gin/robust_xid.gin", path])
        configuration.check_complete(trainer.train)

  def test_faulty_positives_are_measured_on_clean_data(self):
    configuration.parse(["gin/robust_xid.gin", "gin/world/faulty_positives.gin"])
    bound = gin.get_bindings("train")
    self.assertEqual(bound["data_dir"].world.faulty_positive_rate, 0.5)
    self.assertEqual(bound["probe"].data_dir.world.faulty_positive_rate, 0.0)
    self.assertNotEqual(os.fspath(bound["data_dir"]), os.fspath(bound["probe"].data_dir))

  @parameterized.parameters(
    ("num_epoch=2", "'num_epoch' is set, but nothing uses it. Did you mean num_epochs?"),
    ("checkpoint_every_steps=2", "Did you mean train.checkpoint_every_steps?"),
    ("train.batchsize=3", "Did you mean batch_size or "),
    ("trian.batch_size=3", "Did you mean train?"),
    ("train.task=@InstanceDiscriminatoin", "Did you mean InstanceDiscrimination?"),
    ("train.batch_size=%batchsize", "no 'batchsize' is defined. Did you mean batch_size?"),
    ("AVID.num_negative=3", "AVID has no parameter 'num_negative'. Did you mean num_negatives?"),
    ("AdamW.weight_deca=0.1", "AdamW has no parameter 'weight_deca'. Did you mean weight_decay?"),
    ("vidoe/MLPHead.name='x'", "no @vidoe/MLPHead is used. Did you mean video?"),
  )
  def test_misspelt(self, param, expected):
    self.assertIn(expected, self.message(_AVID, param))

  @parameterized.parameters(
    ("num_epochs=2.5", "train.num_epochs is 2.5; expected int."),
    ("num_epochs=True", "train.num_epochs is True; expected int."),
    ("batch_size='8'", "train.batch_size is '8'; expected int."),
    ("AVID.temperature='warm'", "AVID.temperature is 'warm'; expected float."),
    ("MLPHead.batch_norm=1", "MLPHead.batch_norm is 1; expected bool."),
    ("MLPHead.widths=8", "MLPHead.widths is 8; expected Sequence[int]."),
    ("MLPHead.widths=(8, 'x')", "MLPHead.widths is (8, 'x'); expected Sequence[int]."),
    ("Augmentation.crop_area=(1, 2, 3)", "expected tuple[float, float]."),
    ("ClipSpec.sample_rate_hz='x'", "ClipSpec.sample_rate_hz is 'x'; expected int or None."),
    ("train.task=3", "train.task is 3; expected a reference such as @AVID."),
    ("train.clip=3", "train.clip is 3; expected a ClipSpec, such as @ClipSpec()."),
  )
  def test_values_of_a_wrong_type(self, param, expected):
    self.assertIn(expected, self.message(_AVID, param))

  @parameterized.parameters(
    "AVID.temperature=1",
    "train.batch_size=8",  # Leaves the macro without a use, which is no mistake.
    "AudioVisualModel.video_head=@MLPHead()",  # And this a scope.
    "train.augmentation=None",
    "ClipSpec.sample_rate_hz=None",
    "AVID.loss=@losses.info_nce_loss",
    "train.optimizer=@optimizers.AdamW",
    "AdamW.weight_decay=0.01",
    "Adam.clipnorm=1.0",
    "data_dir='some/records'",
    "MLPHead.widths=[8, 4]",
  )
  def test_accepted(self, param):
    configuration.parse(_AVID, [param])

  @parameterized.parameters(
    ("data_dir=my/records", """--gin_param='data_dir="my/records"'"""),
    ("num_epochs", "--gin_param=num_epochs: Couldn't parse statement"),
    ("num_epochs=(1,", "--gin_param=num_epochs=(1,:"),
  )
  def test_not_understood(self, param, expected):
    self.assertIn(expected, self.message(_AVID, param))

  def test_file_that_is_not_there(self):
    message = self.message(["gin/avd.gin"])
    self.assertRegex(message, r"--gin_file=gin/avd.gin: no such file. In 'gin' .*avid.gin")
    self.assertIn("There is no folder 'gni' either", self.message(["gni/avid.gin"]))

  def test_mistakes_in_files_name_them(self):
    outer = self.write("outer.gin", 'include "gin/nothing.gin"\n')
    self.assertIn(f"{outer} includes gin/nothing.gin: no such file", self.message([outer]))
    wrong = self.write("wrong.gin", 'include "gin/avid.gin"\ntrain.seeed = 3\n')
    self.assertIn(f'"{wrong}", line 2', self.message([wrong]))
    broken = self.write("broken.gin", "train.seed = = 3\n")
    outer = self.write("outer.gin", f'include "{broken}"\n')
    self.assertIn(f"{outer} includes {broken}: Unable to parse", self.message([outer]))

  def test_incomplete(self):
    configuration.parse(["gin/base/demo.gin"])
    with self.assertRaisesRegex(configuration.ConfigurationError, "does not set train.task"):
      configuration.check_complete(trainer.train)

  def test_folder_of_no_run(self):
    with self.assertRaisesRegex(configuration.ConfigurationError, "Expected the folder of a run"):
      configuration.parse_operative(self.folder)


if __name__ == "__main__":
  absltest.main()

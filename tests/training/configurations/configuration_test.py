"""Tests of parsing gin configurations, and of error messages."""

import glob
import os
import sys
import tempfile

import gin
from absl.testing import absltest, parameterized

from avssl_tf import addons, successors
from avssl_tf.data.building.media_sources import SOURCES
from avssl_tf.training import trainer
from avssl_tf.training.configurations import configuration
from tests import command, source_tree

_AVID = ["gin/avid.gin"]


class ConfigurationCase(parameterized.TestCase):

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


class ConfigurationTest(ConfigurationCase):

  def test_files_and_parameters_compose(self):
    late = self.write("late.gin", "num_epochs = 7\nbatch_size = 5\n")
    configuration.parse([*_AVID, late], ["num_epochs=9"])
    self.assertEqual((self.bound("num_epochs"), self.bound("batch_size")), (9, 5))
    configuration.parse([late, *_AVID][1:])
    self.assertNotEqual(self.bound("num_epochs"), 9)  # The previous configuration is cleared.

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
        families = {"cma": "avid_cma", "xid": "robust_xid", "stage1": "avc", "stage2": "avsa"}
        method = families.get(scale.split("_")[-1], methods.get(scale, "avid"))
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
    "train.batch_size=8",  # The macro is then unused, which is not an error.
    "AudioVisualModel.video_head=@MLPHead()",  # The same for a scope.
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
    self.assertRegex(message, r"--gin_file=gin/avd.gin: no such file. Files in 'gin': .*avid.gin")
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


class ForeignConfigurationTest(ConfigurationCase):
  """Parsing a configuration from elsewhere runs no code."""

  def setUp(self):
    super().setUp()
    self.trace = os.path.join(self.folder, "trace")
    self.write("foreign_code.py", f"open({self.trace!r}, 'w').close()\nfactory = print\n")
    sys.path.insert(0, self.folder)
    self.addCleanup(sys.path.remove, self.folder)
    self.addCleanup(sys.modules.pop, "foreign_code", None)

  def tearDown(self):
    self.assertFalse(os.path.exists(self.trace), "The code has run.")
    super().tearDown()

  @parameterized.parameters(
    ("import foreign_code\n", "import foreign_code"),
    ("import foreign_code as train\n", "import foreign_code as train"),
    ("from foreign_code import factory\n", "from foreign_code import factory"),
    (
      "from __gin__ import dynamic_registration\nimport foreign_code\n"
      "train.network = @foreign_code.factory()\n",
      "from __gin__ import dynamic_registration",
    ),
  )
  def test_imports_are_refused(self, text, statement):
    path = self.write("imports.gin", text)
    for message in (
      self.message([path]),
      self.message([self.write("outer.gin", f'include "{path}"\n')]),
      self.message(_AVID, text),
      self.message(_AVID, f"num_epochs=1\n{text}"),
    ):
      self.assertIn(f"{statement!r}", message)
      self.assertIn("must not import modules", message)

  def test_parameters_include_nothing(self):
    path = self.write("imports.gin", "import foreign_code\n")
    self.assertIn("--gin_param", self.message(_AVID, f'num_epochs=1\ninclude "{path}"'))

  @parameterized.parameters(
    ("import foreign_code\n", "'import foreign_code'"),
    ('include "foreign.gin"\n', "includes 'foreign.gin'"),
    ("train.task = @foreign_code.factory\n", "No configurable matching"),
  )
  def test_operative_configurations_name_what_is_registered_alone(self, text, expected):
    self.write("foreign.gin", "import foreign_code\n")
    self.addCleanup(os.chdir, os.getcwd())
    os.chdir(self.folder)
    path = self.write("operative_config.gin", text)
    with self.assertRaises(configuration.ConfigurationError) as caught:
      configuration.parse_operative(self.folder)
    self.assertIn(expected, str(caught.exception))
    self.assertIn(path, str(caught.exception))

  @parameterized.parameters(
    "train.network=@train()",
    "train.network=@train",
    "train.data_dir=@a/b/train()",
    "x=[{'y': (@trainer.train(),)}]\ntrain.network=%x",
  )
  def test_commands_are_no_values(self, param):
    self.assertIn("@train is a command", self.message(_AVID, param))

  @parameterized.parameters(
    ("InstanceDiscrimination.dtype={'module': 'foreign_code', 'class_name': 'factory'}", "dtype"),
    ("AdamW.learning_rate={'module': 'foreign_code', 'class_name': 'factory'}", "learning_rate"),
    ("Adam.name=[{'module': 'foreign_code'}]", "name"),
    ("AudioUNet.activation={'module': 'foreign_code', 'class_name': 'factory'}", "activation"),
  )
  def test_keras_gets_no_serialised_objects(self, param, name):
    files = ["gin/spatial_audio.gin"] if "UNet" in param else _AVID
    self.assertRegex(self.message(files, param), rf"\.{name} is .*expected")

  def test_nothing_but_components_of_the_package_is_registered(self):
    known = {"gin.constant", "gin.macro", "gin.singleton"}
    known |= {"optimizers.AdamW", "optimizers.SGD"}
    known |= {"optimizers.LAMB"} if addons.LAMB is not successors.LAMB else set()
    # In a separate process: tests register components as well.
    names = command.output_of(
      "-c",
      "import gin\nfrom avssl_tf.training.configurations import configuration\n"
      "selectors = gin.config._REGISTRY._selector_map\n"
      "for name, configurable in selectors.items():\n"
      "  if not configurable.wrapped.__module__.startswith('avssl_tf.'): print(name)\n",
    )
    self.assertEqual(set(names.split()), known)

  def test_includes_without_end(self):
    path = self.write("a.gin", f'include "{self.folder}/b.gin"\n')
    self.write("b.gin", f'include "{self.folder}/./a.gin"\n')
    self.assertRegex(self.message([path]), r"a\.gin includes .*b\.gin includes .*includes itself")

  def test_includes_that_multiply(self):
    for i in range(20):
      self.write(f"{i}.gin", f'include "{self.folder}/{i + 1}.gin"\n' * 2)
    self.write("20.gin", "num_epochs = 1\n")
    self.assertIn("more than", self.message([os.path.join(self.folder, "0.gin")]))

  def test_deep_nesting(self):
    self.assertIn("--gin_param", self.message(_AVID, "num_epochs=" + "[" * 100_000))
    nested = "[" * 3000 + "]" * 3000
    self.assertIn("--gin_param", self.message(_AVID, f"num_epochs={nested}"))

  def test_marks_and_line_ends_of_windows(self):
    inner = os.path.join(self.folder, "inner.gin")
    outer = os.path.join(self.folder, "outer.gin")
    text_of = {inner: "seed = 7\r\n", outer: f'include "{inner}"\r\nnum_epochs = 3\r\n'}
    for path, text in text_of.items():
      with open(path, "wb") as f:
        f.write(text.encode("utf-8-sig"))
    configuration.parse([*_AVID, outer])
    self.assertEqual(gin.get_bindings("train")["num_epochs"], 3)
    self.assertEqual(gin.get_bindings("train")["seed"], 7)

  def test_names_of_files_that_are_no_text(self):
    name = os.fsdecode(b"d\xe9[1]")
    configuration.parse(_AVID, [f'train.init_from="{name}"'])
    self.assertEqual(gin.get_bindings("train")["init_from"], name)

  @parameterized.parameters(
    ('data_dir="gs://bucket/data"', "data_dir=gs://bucket/data: an address.*mounted"),
    ('train.data_dir="s3://bucket/data"', "train.data_dir=s3://bucket/data: an address"),
    ('train.init_from="gs://bucket/run"', "train.init_from=gs://bucket/run: an address"),
    ('DemoData.folder="hdfs://host/x"', "DemoData.folder=hdfs://host/x: an address"),
  )
  def test_addresses(self, param, expected):
    self.assertRegex(self.message(_AVID, param), expected)

  def test_file_that_is_no_text(self):
    path = os.path.join(self.folder, "binary.gin")
    with open(path, "wb") as f:
      f.write(b"num_epochs = 1\n\xff\x00\n")
    self.assertIn(f"--gin_file={path}", self.message([path]))


if __name__ == "__main__":
  absltest.main()

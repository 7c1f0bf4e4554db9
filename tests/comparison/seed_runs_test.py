"""Tests of the plan of a comparison."""

import sys

import gin
from absl.testing import absltest

from avssl_tf.comparison import seed_runs
from avssl_tf.comparison.seed_runs import Method
from avssl_tf.training.configurations.settings import ConfigurationError

AVID = Method("AVID", ("gin/avid.gin",))


class MethodTest(absltest.TestCase):

  def test_words_are_files_or_bindings(self):
    self.assertEqual(
      Method.parse(
        "Robust xID :  gin/avid.gin batch_size=8 gin/scale/small.gin 'train.split=\"train[:9]\"'"
      ),
      Method(
        "Robust xID",
        ("gin/avid.gin", "gin/scale/small.gin"),
        ("batch_size=8", 'train.split="train[:9]"'),
      ),
    )

  def test_says_what_is_wrong(self):
    for text, message in (
      ("gin/avid.gin", "expected 'NAME: FILE"),
      (": gin/avid.gin", "expected 'NAME: FILE"),
      ("a/b: gin/avid.gin", "a name of letters"),
      ("..: gin/avid.gin", "a name of letters"),
      ("a|b: gin/avid.gin", "a name of letters"),
      ("a:", "no gin file"),
      ("a: batch_size=8", "no gin file"),
      ("a: gin/avid.gin fast", "'fast' is neither"),
      ("a: gin/avid.gin =8", "'=8' is neither"),
      ("a: gin/avid.gin x = 8", "'x' is neither"),
      ("a: gin/avid.gin 'x=8", "No closing quotation"),
    ):
      with self.subTest(text), self.assertRaisesRegex(ConfigurationError, message):
        Method.parse(text)

  def test_folders_have_safe_names(self):
    for name, folder in (("AVID", "AVID"), ("AVID (k-32)", "AVID_k-32"), ("1.5 + x", "1.5_+_x")):
      self.assertEqual(Method(name, ()).folder_name, folder)


class PlanTest(absltest.TestCase):

  def test_all_methods_of_a_seed_come_before_the_next_seed(self):
    small = Method("small AVID", ("gin/avid.gin", "gin/scale/small.gin"), ("batch_size=8",))
    runs = seed_runs.plan([AVID, small], ["num_epochs=2"], ["4", "0"], "runs/x")
    self.assertEqual(
      [run.model_dir for run in runs],
      [
        "runs/x/AVID-seed4", "runs/x/small_AVID-seed4",
        "runs/x/AVID-seed0", "runs/x/small_AVID-seed0",
      ],
    )  # fmt: skip
    self.assertEqual(
      runs[1].command(),
      [
        sys.executable, "-m", "avssl_tf.train",
        "--gin_file=gin/avid.gin", "--gin_file=gin/scale/small.gin", "--gin_param=batch_size=8",
        "--gin_param=num_epochs=2", "--gin_param=seed=4", "--model_dir=runs/x/small_AVID-seed4",
      ],
    )  # fmt: skip

  def test_runs_can_begin_with_those_of_their_seed(self):
    method = Method("on", ("gin/avid.gin",), ('train.init_from="{output_dir}/AVID-seed{seed}"',))
    runs = seed_runs.plan([AVID, method], ['data_dir="data{seed}"'], ["3", "5"], "runs/x")
    for run, seed in ((runs[1], 3), (runs[3], 5)):
      self.assertEqual(run.gin_params[0], f'train.init_from="{runs[2 * (seed > 3)].model_dir}"')
      self.assertEqual(run.gin_params[1], f'data_dir="data{seed}"')

  def test_knows_which_run_another_begins_with(self):
    methods = [
      Method("start", ("gin/avid.gin",)),
      Method("next", ("gin/avid.gin",), ('train.init_from="{output_dir}/start-seed{seed}"',)),
    ]
    start, go_on, start_10, go_on_10 = seed_runs.plan(methods, [], ["1", "10"], "runs/x/")
    self.assertTrue(go_on.begins_with(start))
    self.assertTrue(go_on_10.begins_with(start_10))
    self.assertFalse(go_on_10.begins_with(start))
    self.assertFalse(start.begins_with(go_on))
    self.assertFalse(start.begins_with(start))

  def test_refuses_what_makes_no_comparison(self):
    for methods, seeds, message in (
      ([], ["0"], "No method"),
      ([AVID], [""], "expected integers"),
      ([AVID], [], "distinct integers"),
      ([AVID], ["0", "0"], "distinct integers"),
      ([AVID], ["0", "one"], "expected integers"),
      ([AVID, Method("avid", ())], ["0"], "'AVID' and 'avid' would share a folder"),
      ([Method("a b", ()), Method("a (b)", ())], ["0"], "would share a folder"),
      ([AVID, Method("AVID", ("gin/avid.gin",))], ["0"], "would share a folder"),
    ):
      with self.subTest(message), self.assertRaisesRegex(ConfigurationError, message):
        seed_runs.plan(methods, [], seeds, "runs/x")


class ConfigurationTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  def resolve(self, *params):
    (run,) = seed_runs.plan([AVID], params, ["3"], "runs/x")
    return seed_runs.resolved_configuration(run)

  def test_has_the_seed_of_the_run(self):
    self.assertIn("seed = 3", self.resolve("seed=7"))
    with self.assertRaisesRegex(ConfigurationError, "train.seed does not use"):
      self.resolve("train.seed=7")

  def test_errors_name_the_method(self):
    with self.assertRaisesRegex(ConfigurationError, "Method AVID: (.|\n)*trian"):
      self.resolve("trian.batch_size=3")
    with self.assertRaisesRegex(ConfigurationError, "Method AVID has no probe"):
      self.resolve("train.probe=None")


if __name__ == "__main__":
  absltest.main()

"""Tests of the selection of Keras 2."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import types
from unittest import mock

from absl.testing import absltest, parameterized

from avssl_tf import keras_choice
from tests import source_tree

_SWITCH = "TF_USE_LEGACY_KERAS"
# With TensorFlow 2.15, there is no choice.
_IS_CHOICE = importlib.util.find_spec("tf_keras") is not None


def _run(code, **environment):
  """Runs code in a new interpreter in which nothing has selected a Keras yet."""
  inherited = {name: value for name, value in os.environ.items() if name != _SWITCH}
  return subprocess.run(
    [sys.executable, "-c", code], cwd=source_tree.ROOT, env={**inherited, **environment},
    capture_output=True, text=True, check=False,
  )  # fmt: skip


class KerasChoiceTest(parameterized.TestCase):

  @parameterized.parameters("import avssl_tf, tensorflow", "import tensorflow, avssl_tf")
  def test_it_is_keras_2(self, imports):
    result = _run(f"{imports}; tensorflow.keras.optimizers.legacy.Optimizer")
    self.assertEqual(result.returncode, 0, result.stderr)

  @parameterized.parameters(
    ("import tensorflow as tf; tf.keras.layers; import avssl_tf", {}),
    ("import avssl_tf", {_SWITCH: "0"}),
  )
  def test_another_choice_of_the_program(self, code, environment):
    result = _run(code, **environment)
    self.assertEqual(result.returncode, 1 if _IS_CHOICE else 0, result.stderr)
    if _IS_CHOICE:
      self.assertRegex(result.stderr, rf"ImportError: tf.keras is Keras 3[.\d]+; .* {_SWITCH}=1")

  @parameterized.parameters(
    ("3.15.1", "2.15.0", False), ("", "3.15.1", True), ("2.15.0", "3.15.1", True),
    (None, "3.15.1", False), (None, "2.15.0", True), (None, None, True),
  )  # fmt: skip
  def test_without_tf_keras(self, resolved, installed, is_right):
    modules = {name: module for name, module in sys.modules.items() if name != "tensorflow"}
    if resolved is not None:
      stated = {"__version__": resolved} if resolved else {}
      modules["tensorflow"] = types.SimpleNamespace(keras=types.SimpleNamespace(**stated))
    found = {"return_value": installed} if installed else {
      "side_effect": importlib.metadata.PackageNotFoundError("keras")
    }  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != _SWITCH}
    with (
      mock.patch.dict(sys.modules, modules, clear=True),
      mock.patch.dict(os.environ, environment, clear=True),
      mock.patch.object(importlib.util, "find_spec", return_value=None),
      mock.patch.object(importlib.metadata, "version", **found),
    ):
      if is_right:
        keras_choice.choose_keras_2()
      else:
        with self.assertRaisesRegex(ImportError, "tf.keras is Keras 3.15.1; .* Install tf-keras"):
          keras_choice.choose_keras_2()
      self.assertNotIn(_SWITCH, os.environ)


if __name__ == "__main__":
  absltest.main()

"""Tests that the docstring of each public name is whole: arguments, results, errors, source.

`python -m tests.public_docstrings_test [avssl_tf.losses ...]` lists what is missing.
"""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
import types

import tensorflow as tf
from absl.testing import absltest, parameterized

PACKAGES = ("avssl_tf", *(f"avssl_tf.{name}" for name in (
  "data", "evaluation", "inference", "losses", "models", "spatial", "tasks"
)))  # fmt: skip
# Methods and numbers of the papers: these docstrings have a section `Source:`.
SOURCED = {"avssl_tf.evaluation", "avssl_tf.losses", "avssl_tf.models", "avssl_tf.tasks"}
_SECTION = re.compile(r"^(Args|Attributes|Examples|Raises|Returns|Source|Yields):$", re.MULTILINE)
_NOT_LISTED = {"self", "cls", "args", "kwargs"}


def public_objects(package_name: str) -> dict[str, object]:
  """Functions and classes that a package makes public, by full name; modules by their content."""
  package = importlib.import_module(package_name)
  found = {}
  for name in package.__all__:
    value = getattr(package, name)
    if not isinstance(value, types.ModuleType):
      found[f"{package_name}.{name}"] = value
    elif value.__name__ not in PACKAGES:
      found.update(
        (f"{value.__name__}.{inner}", member)
        for inner, member in vars(value).items()
        if not inner.startswith("_") and getattr(member, "__module__", "") == value.__name__
        if inspect.isfunction(member) or inspect.isclass(member)
      )
  return found


def methods(cls: type) -> dict[str, object]:
  """Public methods that a class introduces; of those that Keras declares, `call` alone.

  What a base class of ours has introduced is documented there.
  """
  introduced = {
    name: member
    for name, member in vars(cls).items()
    if inspect.isfunction(member) and not name.startswith("_")
  }
  ours = [base for base in cls.__mro__[1:] if base.__module__.startswith("avssl_tf")]
  foreign = [base for base in cls.__mro__[1:] if base not in ours]
  return {
    name: member
    for name, member in introduced.items()
    if not any(name in vars(base) for base in ours)
    if name == "call" or not any(hasattr(base, name) for base in foreign)
  }


def sections(docstring: str) -> dict[str, str]:
  """Text of the sections of a docstring, by title."""
  parts = _SECTION.split(docstring)
  return dict(zip(parts[1::2], parts[2::2]))


def missing_of_function(function, is_constructor: bool = False) -> list[str]:
  """What the docstring of a function lacks."""
  docstring = inspect.getdoc(function)
  if not docstring:
    return ["docstring"]
  found, lacks = sections(docstring), []
  for name in inspect.signature(function).parameters:
    if name not in _NOT_LISTED and not re.search(
      rf"^ +\*{{0,2}}{name}\b.*:", found.get("Args", ""), re.MULTILINE
    ):
      lacks.append(f"Args: {name}")
  returned = inspect.signature(function).return_annotation
  if not is_constructor and returned not in (None, inspect.Signature.empty, "None"):
    if not {"Returns", "Yields"} & set(found):
      lacks.append("Returns")
  tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
  if any(isinstance(node, ast.Raise) for node in ast.walk(tree)) and "Raises" not in found:
    lacks.append("Raises")
  return lacks


def missing(value) -> list[str]:
  """What the docstrings of a public function or class, and of its methods, lack."""
  if not inspect.isclass(value):
    return missing_of_function(value)
  lacks = [] if vars(value).get("__doc__") else ["docstring"]
  fields = getattr(value, "_fields", ()) or (
    [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else ()
  )
  listed = ""
  for base in value.__mro__:
    documented = sections(inspect.cleandoc(vars(base).get("__doc__") or ""))
    listed += documented.get("Attributes", "") + documented.get("Args", "")
  lacks += [
    f"Attributes: {name}" for name in fields if not re.search(rf"^ +{name}\b.*:", listed, re.M)
  ]
  if not fields and "__init__" in vars(value):
    constructor = vars(value)["__init__"]
    lacks += [f"__init__: {part}" for part in missing_of_function(constructor, True)]
  for name, member in methods(value).items():
    lacks += [f"{name}: {part}" for part in missing_of_function(member)]
  for name, member in vars(value).items():
    if isinstance(member, property) and not name.startswith("_") and not member.__doc__:
      lacks.append(f"{name}: docstring")
  return lacks


def missing_of_package(package_name: str) -> list[str]:
  """`name: what it lacks`, of each public name of a package that lacks something."""
  found = []
  for name, value in public_objects(package_name).items():
    lacks = missing(value)
    if package_name in SOURCED and "Source" not in sections(inspect.getdoc(value) or ""):
      lacks.append("Source")
    found += [f"{name}: {part}" for part in lacks]
  return found


class PublicDocstringsTest(parameterized.TestCase):

  @parameterized.parameters(*PACKAGES)
  def test_nothing_is_missing(self, package_name):
    self.assertEqual(missing_of_package(package_name), [])

  def test_finds_what_is_missing(self):
    def function(first, second: int) -> int:
      """Adds.

      Args:
        first: a number.
      """
      if second < 0:
        raise ValueError("negative")
      return first + second

    class Layer(tf.keras.layers.Layer):
      """A layer."""

      def __init__(self, units):
        """Creates it."""

      def build(self, shape):
        pass

    Layer.__module__ = "avssl_tf.models.layer"
    self.assertEqual(missing(function), ["Args: second", "Returns", "Raises"])
    self.assertEqual(missing(Layer), ["__init__: Args: units"])


if __name__ == "__main__":
  if sys.argv[1:]:
    for package in sys.argv[1:]:
      print("".join(f"{line}\n" for line in missing_of_package(package)), end="")
  else:
    absltest.main()

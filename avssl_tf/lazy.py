"""Lazy import of the public names of a package (PEP 562).

Importing a package of this project does not import its modules: importing TensorFlow takes seconds,
and commands must set environment variables first.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def face(
  package: str, names: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
  """The functions `__getattr__` and `__dir__` of a package, and its `__all__`.

  Args:
    package: full name of the package.
    names: public names by module; the module is relative to the package.
    modules: public modules or subpackages of the package.
  """
  places = {name: module for module, public in names.items() for name in public}
  public = sorted({*places, *modules})

  def get(name: str) -> Any:
    if name in places:
      value = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
    elif name in modules:
      value = importlib.import_module(f"{package}.{name}")
    else:
      raise AttributeError(f"module {package!r} has no attribute {name!r}")
    setattr(sys.modules[package], name, value)
    return value

  return get, lambda: sorted({*vars(sys.modules[package]), *public}), public

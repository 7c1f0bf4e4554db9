"""Public names of a package, imported from its modules when they are first used.

TensorFlow takes seconds to import, and commands set variables that it reads before: importing a
package of this project imports nothing else (PEP 562).
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
    names: by module, as named from the package on, what of it is public.
    modules: modules or packages in the package that are public as a whole.
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

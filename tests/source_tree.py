"""Reads the project's own sources, for the tests of its structure."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE_FOLDERS = ("avssl_tf", "tools", "tests")


def python_files(*folders: str) -> list[str]:
  """Paths of all Python files in `folders` (all code without any), from the root and sorted."""
  return sorted(
    path.relative_to(ROOT).as_posix()
    for folder in folders or CODE_FOLDERS
    for path in (ROOT / folder).rglob("*.py")
  )


def parse(path: str) -> ast.Module:
  """Syntax tree of the file at `path`, from the root."""
  return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


def imported_modules(path: str) -> set[str]:
  """Full names of the imports of a file, wherever they are in the file.

  `from a import b` counts as `a.b`: whether b is a module or something in the module a is left to
  `module_file`.
  """
  names = set()
  for node in ast.walk(parse(path)):
    if isinstance(node, ast.Import):
      names.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      names.update(f"{node.module}.{alias.name}" for alias in node.names)
  return names


def imported_packages(path: str) -> set[str]:
  """Names of the packages that a file imports, e.g. {"os", "tensorflow"}."""
  return {name.split(".")[0] for name in imported_modules(path)}


def imported_files(path: str) -> set[str]:
  """Paths of the project's own files that a file imports by name."""
  return {file for file in map(module_file, imported_modules(path)) if file is not None}


def module_file(name: str):
  """Path of the file behind `package.module` or `package.module.attribute`; None if not ours."""
  if name.split(".")[0] not in CODE_FOLDERS:
    return None
  for parts in (name.split("."), name.split(".")[:-1]):
    for file in ("/".join(parts) + ".py", "/".join(parts) + "/__init__.py"):
      if (ROOT / file).exists():
        return file
  raise ValueError(f"Nothing in the project has the name {name}.")

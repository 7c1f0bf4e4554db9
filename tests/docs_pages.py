"""Reads the pages of the documentation, for the tests that execute and check them."""

import pathlib
import re
import shlex

from tests import source_tree

README = source_tree.ROOT / "README.md"
_FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)


def pages() -> dict[pathlib.Path, str]:
  """Text of README.md, first, and of all pages in docs/, by path."""
  paths = (README, *sorted((source_tree.ROOT / "docs").rglob("*.md")))
  return {path: path.read_text(encoding="utf-8") for path in paths}


def blocks(text: str, language: str) -> list[str]:
  """Contents of the fenced blocks of a page in `language`, "" for blocks that state none."""
  return [
    re.sub(f"^{indent}", "", content, flags=re.MULTILINE)
    for indent, name, content in _FENCED.findall(text)
    if name == language
  ]


def prose(text: str) -> str:
  """A page without its fenced blocks."""
  return _FENCED.sub("", text)


def commands(text: str) -> list[list[str]]:
  """The shell commands of a page, continuation lines joined, split into words."""
  lines = "".join(blocks(text, "bash")).replace("\\\n", " ").splitlines()
  return [words for words in (shlex.split(line, comments=True) for line in lines) if words]

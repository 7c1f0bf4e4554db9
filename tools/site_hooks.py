"""Hooks of mkdocs: generated pages, generated tables and equations of the documentation site.

mkdocs.yml names this file; `make docs` builds the site. Generated are the pages of the reference
(from the public names of the package and the flags of the commands), tables of the differences from
published settings (`<!-- differences: avid cma -->` on a line of a page), and MathML from LaTeX, so
that browsers show equations without scripts.
"""

import ast
import concurrent.futures
import html
import importlib
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import xml.etree.ElementTree
from typing import Any

# TensorFlow, which the public names import, prints only errors.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# ruff: noqa: E402
from latex2mathml import converter
from mkdocs.structure.files import File, Files

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PACKAGES = ("data", "evaluation", "inference", "losses", "models", "spatial", "tasks")
_COMMANDS = (
  ("Train", ("avssl_tf.train",)),
  ("Evaluate", ("avssl_tf.evaluate",)),
  ("Export", ("avssl_tf.export",)),
  ("Report", ("avssl_tf.report",)),
  ("Make records", ("avssl_tf.make_tfrecords",)),
  ("Apply: embed", ("avssl_tf.apply", "embed")),
  ("Apply: index", ("avssl_tf.apply", "index")),
  ("Apply: search", ("avssl_tf.apply", "search")),
  ("Apply: localize", ("avssl_tf.apply", "localize")),
  ("Apply: spatialize", ("avssl_tf.apply", "spatialize")),
)
_DIFFERENCES = re.compile(r"^<!-- differences: ([\w ]+) -->$", re.MULTILINE)
_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
  """Adds the generated pages of the reference."""
  pages = {"index": _index_page(), "avssl_tf": _package_page("avssl_tf"), "commands": _commands()}
  pages.update((name, _package_page(f"avssl_tf.{name}")) for name in _PACKAGES)
  for name, content in pages.items():
    files.append(File.generated(config, f"reference/{name}.md", content=content))
  return files


def on_page_markdown(markdown: str, **_: Any) -> str:
  """Replaces comments that request tables of differences."""
  return _DIFFERENCES.sub(lambda match: _differences(match[1].split()), markdown)


def on_page_content(content: str, **_: Any) -> str:
  """Turns LaTeX into MathML."""
  return _EQUATION.sub(_mathml, content)


def _mathml(match: re.Match) -> str:
  latex = html.unescape(match[3]).strip()
  display = "inline" if match[2] == "(" else "block"
  mathml = converter.convert(latex, display=display)
  return f'<{match[1]} class="equation">{mathml}</{match[1]}>'


def _differences(prefixes: list[str]) -> str:
  """A table of what differs on purpose from the published settings.

  Args:
    prefixes: with what names of entries start, up to a `/` or a space, or `all`.
  """
  path = _ROOT / "docs" / "published_differences.json"
  rows = ["| settings of | setting | published | here | reason |", "|---|---|---|---|---|"]
  for item in json.loads(path.read_text(encoding="utf-8")):
    entries = [
      entry
      for entry in item["entries"]
      if prefixes == ["all"] or re.split(r"[/ ]", entry)[0] in prefixes
    ]
    if entries:
      published, here = (_cell(item[side]) for side in ("published", "here"))
      # What the parentheses add is on the page of the method.
      names = ", ".join(dict.fromkeys(re.sub(r" \(.*\)", "", entry) for entry in entries))
      rows.append(f"| {names} | `{item['key']}` | {published} | {here} | {item['reason']} |")
  if len(rows) == 2:
    raise ValueError(f"{path}: no entry starts with any of {prefixes}.")
  return "\n".join(rows)


def _cell(value: Any) -> str:
  return "-" if value is None else (value if isinstance(value, str) else json.dumps(value))


def _public(package: str) -> list[tuple[str, str, str]]:
  """(public name, full name of its definition, first line of its docstring) of a package."""
  face = importlib.import_module(package)
  found = []
  for name in sorted(face.__all__, key=str.lower):
    value = getattr(face, name)
    is_module = isinstance(value, types.ModuleType)
    target = value.__name__ if is_module else f"{value.__module__}.{value.__qualname__}"
    found.append((name, target, inspect.getdoc(value).split("\n", 1)[0]))
  return found


def _package_page(package: str) -> str:
  """The reference of a package: its docstring, and an entry for each public name."""
  parts = [f"# {package}\n\n{inspect.getdoc(importlib.import_module(package))}\n"]
  for name, target, _ in _public(package):
    if package == "avssl_tf" and name in _PACKAGES:
      continue
    parts.append(f"[](){{ #{package}.{name} }}\n\n::: {target}\n")
  return "\n".join(parts)


def _index_page() -> str:
  """All public names of all packages, each with the first line of its docstring."""
  parts = [
    "# Reference\n",
    "The public names of the package. `import avssl_tf` imports TensorFlow only when a name needs"
    " it. [Commands](commands.md) lists the flags of the commands, [Records](records.md) and"
    " [Batches](batches.md) the formats of data.\n",
  ]
  for package in ("avssl_tf", *(f"avssl_tf.{name}" for name in _PACKAGES)):
    page = f"{package.rpartition('.')[2]}.md"
    parts.append(f"## [{package}]({page})\n\n| name | |\n|---|---|")
    for name, _, summary in _public(package):
      link = f"[`{name}`][{package}.{name}]"
      if package == "avssl_tf" and name in _PACKAGES:
        link = f"[`{name}`]({name}.md)"
      parts.append(f"| {link} | {summary} |")
    parts[-1] += "\n"
  return "\n".join(parts)


def _commands() -> str:
  """The commands with their flags, from their own help, and the tools."""
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    helps = list(pool.map(_help, (words for _, words in _COMMANDS)))
  parts = [
    "# Commands\n\nEvery command and tool also prints this with `--help`; flags are written"
    " `--name=value`. After `pip install .` the commands are `avssl-train`, `avssl-evaluate`,"
    " `avssl-apply`, `avssl-export`, `avssl-report` and `avssl-make-tfrecords` as well.\n"
  ]
  for (title, words), (usage, flags) in zip(_COMMANDS, helps):
    parts.append(f"## {title}\n\n`python -m {' '.join(words)}`\n\n```text\n{usage.strip()}\n```\n")
    parts.append("| flag | default | |\n|---|---|---|")
    parts += [f"| `--{name}` | {default} | {text} |" for name, default, text in flags]
    parts[-1] += "\n"
  parts.append("## Tools\n\n| script | |\n|---|---|")
  for path in sorted((_ROOT / "tools").glob("*.py")):
    if path.name != pathlib.Path(__file__).name:
      summary = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n", 1)[0]
      parts.append(f"| `tools/{path.name}` | {summary} |")
  return "\n".join(parts) + "\n"


def _help(words: tuple[str, ...]) -> tuple[str, list[tuple[str, str, str]]]:
  """(usage, [(flag, default, meaning)]) of a command."""
  run = subprocess.run(
    [sys.executable, "-m", *words, "--helpxml"], cwd=_ROOT, capture_output=True, text=True,
    env={**os.environ, "COLUMNS": "100"},
  )  # fmt: skip
  if not run.stdout.startswith("<?xml"):
    raise RuntimeError(f"{' '.join(words)} --helpxml failed:\n{run.stderr}")
  tree = xml.etree.ElementTree.fromstring(run.stdout)
  flags = [
    tuple(_table_text(flag.findtext(part) or "") for part in ("name", "default", "meaning"))
    for flag in tree.iter("flag")
    if flag.findtext("key") == "yes"
  ]
  named = [(name, f"`{default}`" if default else "", text) for name, default, text in flags]
  return tree.findtext("usage") or "", named


def _table_text(text: str) -> str:
  text = re.sub(r";\s*repeat this option to specify a list of values", " (repeatable)", text)
  return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()

"""The HTML page of a report: a single self-contained file."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup
from plotly import offline

from avssl_tf.errors import FileThereError
from avssl_tf.files import abandoned, whole_file

# Contained in every page, including those of earlier versions.
_MARKS = ('<p class="subtitle">', "<span>by avssl_tf</span>")
_FOLDER = os.path.dirname(os.path.abspath(__file__))
_ASSETS = os.path.join(_FOLDER, "assets")
_TEMPLATES = jinja2.Environment(
  loader=jinja2.FileSystemLoader(os.path.join(_FOLDER, "templates")),
  autoescape=True,
  trim_blocks=True,
  lstrip_blocks=True,
  undefined=jinja2.StrictUndefined,
)


@dataclasses.dataclass(frozen=True)
class Section:
  """A section of the page.

  Attributes:
    title: heading.
    html: content below the heading; empty if the section is left out.
    left_out: reason why the section is left out; empty if it is shown.
  """

  title: str
  html: str = ""
  left_out: str = ""

  @property
  def anchor(self) -> str:
    """Fragment identifier of links to the section."""
    return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclasses.dataclass(frozen=True)
class Table:
  """A table.

  Attributes:
    columns: headings; the first column contains the names of the rows.
    rows: cells, one per column.
    caption: caption of the table.
  """

  columns: Sequence[str]
  rows: Sequence[Sequence[str]]
  caption: str = ""

  @property
  def html(self) -> str:
    """The table as HTML."""
    return fragment("table.html", table=self)


def fragment(template: str, **values: Any) -> Markup:
  """A rendered template.

  Args:
    template: a file in `templates/`.
    **values: its variables; text is escaped, `Markup` is not.
  """
  return Markup(_TEMPLATES.get_template(template).render(**values))


def asset(name: str) -> str:
  """The text of a file in `assets/`."""
  with open(os.path.join(_ASSETS, name), encoding="utf-8") as f:
    return f.read()


def save(
  path: str,
  title: str,
  subtitle: str,
  sections: Sequence[Section],
  facts: Mapping[str, str],
) -> None:
  """Writes the page atomically.

  Args:
    path: output file.
    title: heading of the page.
    subtitle: the line below the heading.
    sections: sections in order; the end of the page lists those that are left out, with reasons.
    facts: content of the footer, by name.
  """
  html = fragment(
    "page.html",
    title=title,
    subtitle=subtitle,
    sections=[section for section in sections if not section.left_out],
    left_out=[section for section in sections if section.left_out],
    facts=facts,
    style=Markup(asset("page.css")),
    # Only if there is a chart: the script is most of the size of a page.
    charts=Markup(offline.get_plotlyjs()) if any(_has_chart(s) for s in sections) else None,
    scripts=[Markup(asset(name)) for name in ("page.js",)],
  )
  for leftover in abandoned(path):
    os.remove(leftover)
  with whole_file(path) as temporary:
    # File names may contain bytes that are not valid text.
    with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as f:
      f.write(html)


def check(path: str) -> None:
  """Checks in advance that a page may be written to `path`.

  Raises:
    FileThereError: `path` exists and was not written by `save`.
  """
  if not os.path.lexists(path):
    return
  text = ""
  if os.path.isfile(path):
    with open(path, encoding="utf-8", errors="replace") as f:
      text = f.read()
  if not all(mark in text for mark in _MARKS):
    raise FileThereError(
      f"{path} exists, but is not a page written by avssl_tf, and is not changed. Move it away."
    )


def _has_chart(section: Section) -> bool:
  return "plotly-graph-div" in section.html

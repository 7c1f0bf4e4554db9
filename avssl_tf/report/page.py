"""The page that a report is: one HTML file that needs no other and no network."""

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

# What each page of a report holds, those of earlier versions too.
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
  """A part of the page.

  Attributes:
    title: its heading.
    html: what stands below; empty where the part is left out.
    left_out: why there is nothing to show; empty where there is.
  """

  title: str
  html: str = ""
  left_out: str = ""

  @property
  def anchor(self) -> str:
    """What a link to the section ends in."""
    return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows of cells under a heading each.

  Attributes:
    columns: headings; the first is that of the names of rows.
    rows: texts, as many as there are columns.
    caption: what the table shows.
  """

  columns: Sequence[str]
  rows: Sequence[Sequence[str]]
  caption: str = ""

  @property
  def html(self) -> str:
    """The table as HTML."""
    return fragment("table.html", table=self)


def fragment(template: str, **values: Any) -> Markup:
  """A piece of HTML.

  Args:
    template: a file of `templates/`.
    **values: what it names; text is escaped, `Markup` is not.
  """
  return Markup(_TEMPLATES.get_template(template).render(**values))


def asset(name: str) -> str:
  """The text of a file of `assets/`."""
  with open(os.path.join(_ASSETS, name), encoding="utf-8") as f:
    return f.read()


def save(
  path: str,
  title: str,
  subtitle: str,
  sections: Sequence[Section],
  facts: Mapping[str, str],
) -> None:
  """Writes the page, whole or not at all.

  Args:
    path: the file.
    title: heading of the page.
    subtitle: a line below it.
    sections: parts, in order; of those that are left out, the end of the page tells why.
    facts: what stands at the very end, by name.
  """
  html = fragment(
    "page.html",
    title=title,
    subtitle=subtitle,
    sections=[section for section in sections if not section.left_out],
    left_out=[section for section in sections if section.left_out],
    facts=facts,
    style=Markup(asset("page.css")),
    # Only where there is a chart: this is most of what a page weighs.
    charts=Markup(offline.get_plotlyjs()) if any(_has_chart(s) for s in sections) else None,
    scripts=[Markup(asset(name)) for name in ("page.js",)],
  )
  for leftover in abandoned(path):
    os.remove(leftover)
  with whole_file(path) as temporary:
    # Names may hold bytes that are no text.
    with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as f:
      f.write(html)


def check(path: str) -> None:
  """Makes sure that a page may be written to `path`, before all the work.

  Raises:
    FileThereError: there is something that `save` did not write.
  """
  if not os.path.lexists(path):
    return
  text = ""
  if os.path.isfile(path):
    with open(path, encoding="utf-8", errors="replace") as f:
      text = f.read()
  if not all(mark in text for mark in _MARKS):
    raise FileThereError(
      f"{path} is there, and no page that avssl_tf wrote: it is left alone. Move it away."
    )


def _has_chart(section: Section) -> bool:
  return "plotly-graph-div" in section.html

"""Safe display of untrusted text (names, ids, labels).

A name may contain escape sequences of a terminal, a spreadsheet formula, or a link.
"""

import html
import re

# Control characters, line separators, bidirectional formatting characters, and surrogates, which
# Python uses for bytes of file names that are not UTF-8.
_UNPRINTABLE = re.compile(
  "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
  r"""Text for a line of a terminal or a cell of a table, with control characters escaped.

  >>> printable("a\x1b[2Jb\n")
  'a\\x1b[2Jb\\n'
  """
  return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def spreadsheet_cell(text: str) -> str:
  """Text for a cell of a CSV file that spreadsheets display rather than evaluate.

  Text that looks like a formula is prefixed with an apostrophe.

  >>> spreadsheet_cell('=HYPERLINK("http://host", "video")')
  '\\'=HYPERLINK("http://host", "video")'
  """
  text = printable(text)
  return f"'{text}" if text.startswith(_FORMULA) else text


def chart_text(text: str) -> str:
  """Text for a plotly chart, with HTML escaped: plotly renders tags such as links.

  >>> chart_text('<a href="http://host">video</a>')
  '&lt;a href="http://host"&gt;video&lt;/a&gt;'
  """
  return html.escape(printable(text), quote=False)

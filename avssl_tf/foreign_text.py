"""Text from files of others (names, ids, labels), made harmless where it is shown.

A name may hold commands of a terminal, a formula of a spreadsheet, or a link.
"""

import html
import re

# Control characters, line separators, marks that reverse the direction of writing, and surrogates,
# by which Python keeps bytes of names that are no UTF-8.
_UNPRINTABLE = re.compile(
  "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
  r"""Text for a line of a terminal or a cell of a table: control characters become escapes.

  >>> printable("a\x1b[2Jb\n")
  'a\\x1b[2Jb\\n'
  """
  return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def spreadsheet_cell(text: str) -> str:
  """Text for a cell of a CSV file: spreadsheets show it rather than compute it.

  An apostrophe is put before what they take for a formula.

  >>> spreadsheet_cell('=HYPERLINK("http://host", "video")')
  '\\'=HYPERLINK("http://host", "video")'
  """
  text = printable(text)
  return f"'{text}" if text.startswith(_FORMULA) else text


def chart_text(text: str) -> str:
  """Text for a chart of plotly, which makes links and line breaks of HTML tags.

  >>> chart_text('<a href="http://host">video</a>')
  '&lt;a href="http://host"&gt;video&lt;/a&gt;'
  """
  return html.escape(printable(text), quote=False)

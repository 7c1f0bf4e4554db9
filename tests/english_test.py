"""Tests that the words which the project's prose avoids stay out of it.

Prose is what people read: pages, comments, docstrings, messages, headers of configurations.
`python -m tests.english_test [PATH ...]` lists the places.
"""

import io
import pathlib
import re
import sys
import tempfile
import tokenize

from absl.testing import absltest

from tests import source_tree

# The word, and what to write instead.
AVOIDED = {
  r"told|tells?|telling": "report, show, print, state; to tell apart: distinguish",
  r"stands?|standing|stood": "is, is listed, is written",
  r"lies?|lying|lay|lays|laid": "is, is in",
  r"anew": "again",
  r"likewise": "same shape, also",
  r"beside": "next to, compared with, in addition to",
  r"(?:go|goes|going|went) on": "continue, resume",
  r"look(?:s|ed|ing)? at": "read, use, see, inspect",
  r"as of": "as in, see, since",
  r"bears?": "have, carry, tolerate",
  r"(?:give|gives|given|giving|gave) up": "stop, fail",
  r"(?:lets?|leaves?|left|leaving) (?:\w+ )?alone": "ignores, does not change",
  r"(?:is|are|was|were) worth": "evaluate, quality",
  r"mend(?:s|ed|ing)?": "repair, fix",
  r"whose is whose|whose row": "maps rows to ids",
  r"says? (?:otherwise|so)": "override; report",
  r"as time goes by": "over time",
  r"at a go": "at once",
}
# Where these words are right.
PROPER = (
  r"bear in mind",
  r"given up to",  # `given` and `up to`.
  r"a closer look at spatiotemporal",  # Tran et al., CVPR 2018.
)
_AVOIDED = re.compile("|".join(rf"\b(?:{words})\b" for words in AVOIDED), re.IGNORECASE)
_PROPER = re.compile("|".join(PROPER), re.IGNORECASE)
_SUFFIXES = (".css", ".flags", ".gin", ".html", ".js", ".md", ".sh", ".toml", ".txt", ".yml")
_NAMES = {"BUILD", "Makefile", "run"}
_STRINGS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}


def files() -> list[pathlib.Path]:
  """Files with prose: sources, configurations, pages."""
  folders = (".ci", "avssl_tf", "docs", "gin", "tests", "tools")
  found = [path for folder in folders for path in (source_tree.ROOT / folder).rglob("*")]
  return sorted(
    path
    for path in (*found, *source_tree.ROOT.glob("*"))
    if path.suffix in (".py", *_SUFFIXES) or path.name in _NAMES
    if path.is_file() and "testdata" not in path.parts and path.name != "english_test.py"
  )


def prose(path: pathlib.Path) -> list[tuple[int, str]]:
  """(number of the first line, text) of each part of a file that people read."""
  text = path.read_text(encoding="utf-8")
  if path.suffix != ".py":
    return [(1, text)]
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  return [(token.start[0], token.string) for token in tokens if token.type in _STRINGS]


def avoided(path: pathlib.Path) -> list[str]:
  """`file:line: the words and what is around them` of each avoided word of a file."""
  found = []
  for first_line, text in prose(path):
    proper = [match.span() for match in _PROPER.finditer(text)]
    for match in _AVOIDED.finditer(text):
      if not any(start <= match.start() < end for start, end in proper):
        line = first_line + text.count("\n", 0, match.start())
        around = text[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")
        found.append(f"{path.relative_to(source_tree.ROOT)}:{line}: {around}")
  return found


class EnglishTest(absltest.TestCase):

  def test_avoided_words_stay_out(self):
    self.assertEqual([place for path in files() for place in avoided(path)], [])

  def test_finds_them(self):
    for name, text, count in (
      ("a.py", '"""What is told."""\nlies = 1  # Stands there.\nprint(lies, "It lies.")', 3),
      ("a.md", "Files given up to now bear in mind\nthat nothing goes on.", 1),
    ):
      with self.subTest(name), tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, name)
        path.write_text(text, encoding="utf-8")
        with absltest.mock.patch.object(source_tree, "ROOT", path.parent):
          self.assertLen(avoided(path), count)

  def test_reads_the_sources_and_the_pages(self):
    names = {path.relative_to(source_tree.ROOT).as_posix() for path in files()}
    self.assertContainsSubset(
      {"README.md", "BUILD", "Makefile", "avssl_tf/train.py", "gin/avid.gin"}, names
    )


if __name__ == "__main__":
  if sys.argv[1:]:
    wanted = tuple(str(pathlib.Path(name).resolve()) for name in sys.argv[1:])
    for file in files():
      if str(file).startswith(wanted):
        print("".join(f"{place}\n" for place in avoided(file)), end="")
  else:
    absltest.main()

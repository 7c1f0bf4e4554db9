"""Tests that flags for files or folders are those of `local_paths`, which reject addresses."""

import ast
import os
import tempfile
import unittest

from tests import command, source_tree

# String flags that are not paths. A new string flag is one of these, or of `local_paths`.
_NO_PATHS = {
  "avssl_tf/evaluate.py": {"task"},
  "avssl_tf/cli.py": {"gin_param"},
  "avssl_tf/recipe_flags.py": {"ray_address"},
  "tools/benchmark_pipeline.py": {"split"},
  "tools/compare_seeds.py": {"method", "gin_param", "baseline", "seeds"},
  "tools/benchmark_step.py": {"precisions", "bank_rows"},
  "tools/draw_alignment.py": {"split"},
  "tools/draw_generation.py": {"split"},
  "tools/screenshot.py": {"part"},
}
_OF_TEXT = {"DEFINE_string", "DEFINE_multi_string", "DEFINE_list", "DEFINE_spaceseplist", "DEFINE"}
_OF_PATHS = {"define_flag", "define_multi_flag"}
_LOCAL_PATHS = "avssl_tf/local_paths.py"


def _flags(path: str, functions: set[str]) -> set[str]:
  """Names of the flags that a file defines with these functions."""
  calls = [node for node in ast.walk(source_tree.parse(path)) if isinstance(node, ast.Call)]
  return {
    call.args[0].value
    for call in calls
    if isinstance(call.func, ast.Attribute)
    and call.func.attr in functions
    and isinstance(call.args[0], ast.Constant)
  }


class PathFlagsTest(unittest.TestCase):

  def test_every_flag_of_text_is_of_a_path_or_listed_here(self):
    paths = [*source_tree.python_files("avssl_tf"), *source_tree.python_files("tools")]
    found = {p: flags for p in paths if p != _LOCAL_PATHS and (flags := _flags(p, _OF_TEXT))}
    self.assertEqual(found, _NO_PATHS, "Define flags that name files by local_paths.define_flag.")

  def test_commands_have_flags_of_paths(self):
    for path in (
      *(f"avssl_tf/{name}.py" for name in ("train", "evaluate", "export", "apply", "recipe_flags")),
      *(f"tools/{name}.py" for name in ("inspect_records", "compare_seeds")),
    ):
      self.assertTrue(_flags(path, _OF_PATHS), path)

  def test_commands_refuse_addresses_at_once(self):
    with tempfile.TemporaryDirectory() as folder:
      videos = os.path.join(folder, "videos")
      os.mkdir(videos)
      for flag, arguments in {
        "--model_dir": ["-m", "avssl_tf.train", "--gin_file=gin/avid.gin"],
        "--output_dir": [
          "tools/make_tfrecords.py", "--source=folder", f"--input_dir={videos}"
        ],
        "--output": ["-m", "avssl_tf.apply", "embed", "--model_dir=x", f"--input={videos}"],
      }.items():  # fmt: skip
        result = command.run_python(*arguments, f"{flag}=nowhere://bucket/x")
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr, f"{flag}=nowhere://bucket/x: an address.*mounted")
        self.assertNotIn("Traceback", result.stderr)
      result = command.run_python("-m", "avssl_tf.report", "nowhere://bucket/run")
      self.assertRegex(result.stderr, "^Error: folder of a run=nowhere://bucket/run: an address")
      self.assertFalse(os.path.lexists(source_tree.ROOT / "nowhere:"))


if __name__ == "__main__":
  unittest.main()

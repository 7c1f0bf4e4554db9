"""Tests of flags from the fields of a dataclass."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

from absl import flags
from absl.testing import absltest

from avssl_tf import job_flags, local_paths


@dataclasses.dataclass(frozen=True)
class _Job:
  input: str = job_flags.flag("A file.")
  outputs: Sequence[str] = job_flags.flag("Files.", (), name="output")
  mode: Optional[str] = job_flags.flag("A choice.", None, choices=("a", "b"))
  height: int = job_flags.flag("A number.", 720, at_least=2)
  end_sec: Optional[float] = job_flags.flag("A time.", None)
  overwrite: bool = job_flags.flag("A switch.", False)


def _parsed(*arguments):
  values = flags.FlagValues()
  job_flags.define(_Job, values)
  values(["program", *arguments])
  return job_flags.parsed(_Job, values)


class JobFlagsTest(absltest.TestCase):

  def test_values(self):
    self.assertEqual(_parsed("--input=x"), _Job("x", outputs=[]))
    job = _parsed(
      "--input=x", "--output=a", "--output=b", "--mode=b", "--height=3", "--end_sec=1.5",
      "--overwrite",
    )  # fmt: skip
    self.assertEqual(job, _Job("x", ["a", "b"], "b", 3, 1.5, True))

  def test_mistakes(self):
    for arguments in (
      (), ("--input=x", "--mode=c"), ("--input=x", "--height=1"), ("--input=gs://bucket/x",),
      ("--input=x", "--outputs=a"),
    ):  # fmt: skip
      with self.assertRaises(flags.Error, msg=arguments):
        _parsed(*arguments)

  def test_text_is_a_path_or_a_choice(self):
    values = flags.FlagValues()
    job_flags.define(_Job, values)
    self.assertTrue(local_paths.is_path_flag(values["input"]))
    self.assertTrue(local_paths.is_path_flag(values["output"]))
    self.assertEqual(values["height"].help, "A number.")


if __name__ == "__main__":
  absltest.main()

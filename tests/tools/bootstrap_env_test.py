"""Tests of tools/bootstrap_env.sh, most with an interpreter that only pretends to install."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bootstrap_env.sh"

BROKEN_SHIM = "#!/bin/sh\necho 'command not found' >&2\nexit 127\n"
REAL = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
# Makes environments that hold nothing but itself, and installs what it can read.
PRETENDING = f"""#!/bin/sh
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-m pip install "*) for last; do :; done; cat "$last" >/dev/null ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""


class BootstrapEnvTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.root = pathlib.Path(folder.name)
    (self.root / "requirements.txt").write_text("# Nothing.\n")
    self.bin = self.root / "bin"
    self.bin.mkdir()
    # The only commands in the PATH, in addition to those that a test adds.
    for name in ("cat", "cp", "dirname", "mkdir", "rm", "touch"):
      (self.bin / name).symlink_to(pathlib.Path("/bin") / name)

  def add_command(self, name: str, text: str) -> None:
    path = self.bin / name
    path.write_text(text)
    path.chmod(0o755)

  def bootstrap(self, stamp=".venv/run-1", **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
      ["/bin/sh", str(SCRIPT), "requirements.txt", stamp],
      cwd=self.root,
      env={"PATH": str(self.bin), **environment},
      capture_output=True,
      text=True,
      check=False,
    )

  def test_makes_a_real_environment(self):
    self.add_command("python3", REAL)
    result = self.bootstrap()
    self.assertEqual(result.returncode, 0, result.stderr)
    subprocess.run([self.root / ".venv/bin/python", "-c", "import pip"], check=True)

  def test_skips_an_interpreter_that_does_not_run(self):
    self.add_command("python3.11", BROKEN_SHIM)
    self.add_command("python3.10", PRETENDING)
    result = self.bootstrap()
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("(python3.10)", result.stdout)
    self.assertTrue((self.root / ".venv/run-1").exists())
    self.assertFalse((self.root / ".venv/unfinished").exists())

  def test_takes_the_named_interpreter_even_with_a_space_in_its_path(self):
    self.add_command("my python", PRETENDING)
    result = self.bootstrap(PYTHON=str(self.bin / "my python"))
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("my python)", result.stdout)

  def test_without_an_interpreter_says_what_to_do(self):
    self.add_command("python3", BROKEN_SHIM)
    result = self.bootstrap()
    self.assertNotEqual(result.returncode, 0)
    self.assertIn("uv python install 3.11", result.stderr)
    self.assertIn('PYTHON="$(uv python find 3.11)"', result.stderr)
    self.assertFalse((self.root / ".venv").exists())

  def test_a_named_interpreter_that_does_not_fit_is_not_replaced_by_another(self):
    self.add_command("python3", PRETENDING)
    result = self.bootstrap(PYTHON="python3.7")
    self.assertNotEqual(result.returncode, 0)
    self.assertIn("(tried: python3.7)", result.stderr)

  def test_an_interrupted_environment_is_made_anew(self):
    self.add_command("python3", PRETENDING)
    self.bootstrap()
    env_dir = self.root / ".venv"
    (env_dir / "left_over").touch()
    (env_dir / "unfinished").touch()
    result = self.bootstrap()
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertFalse((env_dir / "left_over").exists())
    self.assertTrue((env_dir / "run-1").exists())

  def test_new_pins_keep_the_environment_and_replace_the_stamp(self):
    self.add_command("python3", PRETENDING)
    self.bootstrap()
    env_dir = self.root / ".venv"
    (env_dir / "test-1").touch()
    (env_dir / "kept").touch()
    self.bootstrap(stamp=".venv/run-2")
    stamps = sorted(path.name for path in env_dir.glob("*-?"))
    self.assertEqual(stamps, ["run-2", "test-1"])
    self.assertTrue((env_dir / "kept").exists())

  def test_a_failed_installation_leaves_no_stamp(self):
    self.add_command("python3", PRETENDING)
    (self.root / "requirements.txt").unlink()
    result = self.bootstrap()
    self.assertNotEqual(result.returncode, 0)
    self.assertFalse((self.root / ".venv/run-1").exists())
    self.assertTrue((self.root / ".venv/unfinished").exists())


if __name__ == "__main__":
  unittest.main()

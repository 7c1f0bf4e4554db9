"""Tests of tools/bootstrap_env.sh, most with an interpreter that only pretends to install."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bootstrap_env.sh"

VERSION = f"3.{sys.version_info[1]}"
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
    too_new = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; *) echo 3.14 ;; esac\n'
    self.add_command("python", too_new)
    result = self.bootstrap()
    self.assertNotEqual(result.returncode, 0)
    self.assertIn("Found no Python 3.9 to 3.13", result.stderr)
    self.assertIn("python3: does not run", result.stderr)
    self.assertIn("python: 3.14", result.stderr)
    self.assertIn("make PYTHON=/path/to/python3.13", result.stderr)
    self.assertFalse((self.root / ".venv").exists())

  def test_a_named_interpreter_that_does_not_fit_is_not_replaced_by_another(self):
    self.add_command("python3", PRETENDING)
    result = self.bootstrap(PYTHON="python3.7")
    self.assertNotEqual(result.returncode, 0)
    self.assertIn("python3.7: does not run", result.stderr)
    self.assertNotIn("python3:", result.stderr)

  def test_a_lane_limits_the_versions(self):
    self.add_command("python3", PRETENDING)
    own, other = ("first", "second") if sys.version_info < (3, 12) else ("second", "first")
    self.assertEqual(self.bootstrap(f".venv-{own}/run-1", LANE=own).returncode, 0)
    result = self.bootstrap(f".venv-{other}/run-1", LANE=other)
    self.assertNotEqual(result.returncode, 0)
    self.assertIn(f"python3: {VERSION}", result.stderr)
    result = self.bootstrap(LANE="third")
    self.assertNotEqual(result.returncode, 0)
    self.assertIn("LANE=third: expected first or second.", result.stderr)

  def test_finds_an_interpreter_of_pyenv_that_its_shim_does_not_select(self):
    self.add_command(f"python{VERSION}", BROKEN_SHIM)
    folder = self.root / "pyenv" / "versions" / f"{VERSION}.99" / "bin"
    folder.mkdir(parents=True)
    self.add_command("python", PRETENDING)
    (self.bin / "python").rename(folder / "python")
    result = self.bootstrap(PYENV_ROOT=str(self.root / "pyenv"))
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn(f"({folder}/python)", result.stdout)

  def test_installs_an_interpreter_with_uv(self):
    self.add_command("hidden", PRETENDING)
    self.add_command("uv", f"""#!/bin/sh
case "$*" in
  "python install "*) touch "{self.root}/installed" ;;
  "python find "*) [ -e "{self.root}/installed" ] && echo "{self.bin}/hidden" ;;
esac
""")
    result = self.bootstrap()
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertIn("Installing Python 3.11 with uv.", result.stderr)
    self.assertIn(f"({self.bin}/hidden)", result.stdout)

  def test_an_environment_of_another_version_is_made_anew(self):
    self.add_command("python3", PRETENDING)
    self.bootstrap()
    env_dir = self.root / ".venv"
    (env_dir / "kept").touch()
    self.bootstrap(PYTHON="python3")
    self.assertTrue((env_dir / "kept").exists())
    self.add_command(
      "other", PRETENDING.replace('"-m venv "', '*print*) echo 3.10 ;;\n  "-m venv "', 1)
    )  # fmt: skip
    result = self.bootstrap(PYTHON="other")
    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertFalse((env_dir / "kept").exists())

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

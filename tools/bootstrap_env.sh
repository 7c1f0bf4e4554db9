#!/bin/sh
# Creates or updates the environment .venv.
#
#   tools/bootstrap_env.sh requirements.txt .venv/run-1234
#
# Installs the pins of the first argument, then creates the second, a stamp file: it exists only if the
# environment contains these pins. The environment is created again if it is missing, does not work, or
# an installation was interrupted. PYTHON sets the interpreter; without it, the first suitable one is
# used.
set -eu

requirements=$1
stamp=$2
env_dir=$(dirname "$stamp")
unfinished=$env_dir/unfinished  # Exists during the installation; marks an interrupted one.

# An interpreter is suitable if it runs (a pyenv shim may exist but not run), has a version that
# TensorFlow 2.15 and tensorflow-addons support, and can create environments (on Debian, a separate
# package).
fits() {
  "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' \
    >/dev/null 2>&1
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
  else
    set -- python3.11 python3.10 python3.9 python3 python
  fi
  for candidate; do
    if fits "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  cat >&2 <<MESSAGE
Python 3.9, 3.10 or 3.11 with the venv module not found (tried: $*).
TensorFlow 2.15 requires one of these versions. To use an interpreter in another place:
    make PYTHON=/path/to/python3.11 ...
To install Python with uv, without administrator rights:
    python3 -m pip install --user uv        (or install uv in another way)
    uv python install 3.11
    make PYTHON="\$(uv python find 3.11)" ...
On Debian and Ubuntu, the venv module is a separate package: apt install python3-venv.
MESSAGE
  return 1
}

if [ -e "$unfinished" ] || ! fits "$env_dir/bin/python"; then
  python=$(find_python)
  echo "Creating the environment $env_dir with $("$python" --version) ($python)."
  rm -rf "$env_dir"
  mkdir -p "$env_dir"
  touch "$unfinished"
  "$python" -m venv "$env_dir"
fi

touch "$unfinished"
echo "Installing $requirements into $env_dir. The first installation takes several minutes."
[ -t 1 ] && quiet= || quiet=--quiet  # Progress bars only on a terminal.
"$env_dir/bin/python" -m pip install $quiet --disable-pip-version-check -r "$requirements"
rm -f "${stamp%-*}"-*  # The stamp of the previous pins.
touch "$stamp"
rm "$unfinished"

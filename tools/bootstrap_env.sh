#!/bin/sh
# Creates or updates the virtual environment .venv.
#
#   tools/bootstrap_env.sh requirements.txt .venv/run-1234
#
# Installs the pinned requirements of the first argument, then creates the second, a stamp file. The
# stamp exists if and only if the environment has these requirements. A missing, broken or
# half-installed environment is created again. PYTHON selects the interpreter; by default the first
# suitable one is used.
set -eu

requirements=$1
stamp=$2
env_dir=$(dirname "$stamp")
unfinished=$env_dir/unfinished  # Exists while pip runs; the environment is incomplete then.

# An interpreter is suitable if it runs (a pyenv shim may exist and fail), has a version that
# TensorFlow 2.15 and tensorflow-addons support, and has the venv module (a separate package on
# Debian).
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
No Python 3.9, 3.10 or 3.11 with the venv module was found (tried: $*).
TensorFlow 2.15 does not support other versions. To use an interpreter in another place:
    make PYTHON=/path/to/python3.11 ...
To install one without administrator rights, use uv:
    python3 -m pip install --user uv        (or any other way of installing uv)
    uv python install 3.11
    make PYTHON="\$(uv python find 3.11)" ...
On Debian and Ubuntu the venv module is a separate package: apt install python3-venv.
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
echo "Installing $requirements into $env_dir. The first installation takes minutes."
[ -t 1 ] && quiet= || quiet=--quiet  # Progress on terminals only, not in logs.
"$env_dir/bin/python" -m pip install $quiet --disable-pip-version-check -r "$requirements"
rm -f "${stamp%-*}"-*  # The stamps of earlier requirements.
touch "$stamp"
rm "$unfinished"

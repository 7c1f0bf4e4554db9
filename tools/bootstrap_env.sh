#!/bin/sh
# Makes the environment .venv, or brings it up to date.
#
#   tools/bootstrap_env.sh requirements.txt .venv/run-1234
#
# Installs the pins of the first argument and creates the second, a stamp file, at the very end: it
# is there exactly when the environment holds those pins. The environment is made anew where it is
# missing, does not run, or was left half-installed by an interruption. PYTHON names the
# interpreter to make it with; without it the first one that fits is taken.
set -eu

requirements=$1
stamp=$2
env_dir=$(dirname "$stamp")
unfinished=$env_dir/unfinished  # There while pip is at work: what it left may be anything.

# An interpreter fits if it really runs (a pyenv shim may be there and not run), has a version that
# TensorFlow 2.15 and tensorflow-addons serve, and can make an environment (Debian splits that off).
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
TensorFlow 2.15 runs on no other version. One that lies elsewhere can be named:
    make PYTHON=/path/to/python3.11 ...
Where there is none, uv brings one, without administrator rights:
    python3 -m pip install --user uv        (or any other way of installing uv)
    uv python install 3.11
    make PYTHON="\$(uv python find 3.11)" ...
On Debian and Ubuntu the venv module is a package of its own: apt install python3-venv.
MESSAGE
  return 1
}

if [ -e "$unfinished" ] || ! fits "$env_dir/bin/python"; then
  python=$(find_python)
  echo "Making the environment $env_dir with $("$python" --version) ($python)."
  rm -rf "$env_dir"
  mkdir -p "$env_dir"
  touch "$unfinished"
  "$python" -m venv "$env_dir"
fi

touch "$unfinished"
echo "Installing $requirements into $env_dir. The first time this takes minutes."
[ -t 1 ] && quiet= || quiet=--quiet  # Progress is for eyes, not for logs.
"$env_dir/bin/python" -m pip install $quiet --disable-pip-version-check -r "$requirements"
rm -f "${stamp%-*}"-*  # The stamp of the pins before these.
touch "$stamp"
rm "$unfinished"

#!/bin/sh
# Creates or updates the virtual environment .venv.
#
#   tools/bootstrap_env.sh requirements.txt .venv/run-1234
#
# Installs the pinned requirements of the first argument, then creates the second, a stamp file. The
# stamp exists if and only if the environment has these requirements. A missing, broken or
# half-installed environment is created again. PYTHON selects the interpreter; by default the first
# suitable one is used. An environment of another version than PYTHON is created again. LANE limits the
# versions: first (TensorFlow 2.15) or second (TensorFlow 2.21).
set -eu

requirements=$1
stamp=$2
env_dir=$(dirname "$stamp")
unfinished=$env_dir/unfinished  # Exists while pip runs; the environment is incomplete then.

case ${LANE:-} in
  "") lowest=9 highest=13 versions="3.11 3.10 3.9 3.13 3.12" ;;
  first) lowest=9 highest=11 versions="3.11 3.10 3.9" ;;
  second) lowest=12 highest=13 versions="3.13 3.12" ;;
  *) echo "LANE=$LANE: expected first or second." >&2; exit 1 ;;
esac

# An interpreter is suitable if it runs (a pyenv shim may exist and fail), has a version with pinned
# packages, and has the venv module (a separate package on Debian).
fits() {
  "$1" -c "import ensurepip, sys, venv; sys.exit(not (3, $lowest) <= sys.version_info[:2] <= (3, $highest))" \
    >/dev/null 2>&1
}

version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
  else
    set --
    for number in $versions; do
      set -- "$@" "python$number"
    done
    set -- "$@" python3 python
  fi
  for candidate; do
    if fits "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  if [ -z "${PYTHON:-}" ]; then
    # Interpreters of pyenv that its shims do not select.
    for number in $versions; do
      for candidate in "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$number".*/bin/python; do
        if fits "$candidate"; then
          echo "$candidate"
          return
        fi
      done
    done
    if command -v uv >/dev/null; then
      newest=${versions%% *}
      candidate=$(uv python find "$newest" 2>/dev/null) || {
        echo "Installing Python $newest with uv." >&2
        uv python install "$newest" >&2 && candidate=$(uv python find "$newest")
      }
      if fits "$candidate"; then
        echo "$candidate"
        return
      fi
    fi
  fi
  cat >&2 <<MESSAGE
Found no Python 3.$lowest to 3.$highest with the venv module. Tried:
$(for candidate; do echo "    $candidate: $(version "$candidate" || echo "does not run")"; done)
The pinned packages do not support other versions. To use an interpreter in another place:
    make PYTHON=/path/to/python3.$highest ...
To install one without administrator rights, install uv; make then uses it:
    python3 -m pip install --user uv        (or any other way of installing uv)
On Debian and Ubuntu the venv module is a separate package: apt install python3-venv.
MESSAGE
  return 1
}

if [ -e "$unfinished" ] || ! fits "$env_dir/bin/python" || {
  [ -n "${PYTHON:-}" ] && [ "$(version "$PYTHON")" != "$(version "$env_dir/bin/python")" ]
}; then
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

#!/bin/sh
# Sees to it that the tests of pages find a browser.
#
#   tools/bootstrap_browser.sh
#
# Where there is no Chromium or Chrome, installs Debian's if this may be done here, and else says how
# to get one: tests that need it are skipped then.
set -eu

for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Chromium, in which pages are tested."
  export DEBIAN_FRONTEND=noninteractive
  if apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; then
    exit 0
  fi
fi
cat >&2 <<MESSAGE
No Chromium or Chrome was found: tests that open pages in a browser are skipped. On Debian and
Ubuntu: apt install chromium.
MESSAGE

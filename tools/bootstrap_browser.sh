#!/bin/sh
# Ensures that tests of pages find a browser.
#
#   tools/bootstrap_browser.sh
#
# If there is no Chromium or Chrome, installs Debian's Chromium as root, or prints installation
# instructions. Tests that require a browser are skipped then.
set -eu

for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Chromium for tests of pages."
  export DEBIAN_FRONTEND=noninteractive
  if apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; then
    exit 0
  fi
fi
cat >&2 <<MESSAGE
Found no Chromium or Chrome: tests that open pages in a browser are skipped. On Debian and Ubuntu:
apt install chromium.
MESSAGE

#!/bin/sh
# Provides a browser for the tests of HTML pages.
#
#   tools/bootstrap_browser.sh
#
# Without Chromium or Chrome, installs Debian's Chromium if permitted; otherwise prints installation
# instructions, and tests that require a browser are skipped.
set -eu

for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Chromium for the tests of HTML pages."
  export DEBIAN_FRONTEND=noninteractive
  if apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; then
    exit 0
  fi
fi
cat >&2 <<MESSAGE
Chromium or Chrome not found: tests that require a browser are skipped. To install Chromium on Debian
and Ubuntu: apt install chromium.
MESSAGE

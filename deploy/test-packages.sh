#!/usr/bin/env bash
# Installs the Debian packages named as arguments where that is possible, else says which are missing.
set -euo pipefail
missing=()
for package in "$@"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "These packages are missing; the tests of real parts will be skipped. As root:" >&2
  echo "  apt-get install ${missing[*]}" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The tests start their own servers on free ports: the packages' services stay off.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.cbrn
if [ ! -e /usr/sbin/policy-rc.d ]; then
  mv /usr/sbin/policy-rc.d.cbrn /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
else
  rm -f /usr/sbin/policy-rc.d.cbrn
fi
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

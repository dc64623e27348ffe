#!/usr/bin/env bash
# Installs programs from the distribution's packages when they are missing and
# this user may. Starts nothing: every server of ours is private to the program
# that started it.
#
# usage: install.sh [--optional] postgresql|chromium|prometheus|prometheus-alertmanager ...
#   --optional  say what is missing and go on: the tests that need it skip
set -euo pipefail

optional=
if [ "${1-}" = --optional ]; then optional=yes && shift; fi

found() {
  case $1 in
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
    chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

packages() {
  case $1 in
    chromium) echo chromium fonts-dejavu-core ;; # the board's signs (⚠ ▲ ●) are not in every font
    *) echo "$1" ;;
  esac
}

give_up() {
  echo "$1" >&2
  if [ -n "$optional" ] && [ -z "${WHALEGATE_REQUIRE_ALL-}" ]; then exit 0; fi
  exit 1
}

wanted=()
for name in "$@"; do found "$name" || wanted+=($(packages "$name")); done
[ ${#wanted[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    give_up "missing, and this user may not install: ${wanted[*]}. An administrator runs: apt-get install --no-install-recommends ${wanted[*]}"
  fi
fi
command -v apt-get >/dev/null || give_up "missing, and this is no Debian: install ${wanted[*]} (PostgreSQL 15 or later)"

echo "installing from the distribution's packages: ${wanted[*]}" >&2
# The package of PostgreSQL would make and start a cluster of its own, which
# nobody here uses.
# nobody here uses. What keeps it from that is gone afterwards: whoever wants a
# cluster makes one with pg_createcluster, or by installing a further version.
left=()
trap '[ ${#left[@]} -eq 0 ] || "${as_root[@]}" rm -f "${left[@]}"' EXIT
conf=/etc/postgresql-common/createcluster.d/whalegate-no-main-cluster.conf
"${as_root[@]}" mkdir -p "${conf%/*}"
left+=("$conf")
echo 'create_main_cluster = false' | "${as_root[@]}" tee "$conf" >/dev/null
# Nor is any other service started, now or at the next boot.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  left+=("$policy")
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 0755 "$policy"
fi
"${as_root[@]}" apt-get update -qq || give_up "the lists of packages could not be read"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >&2 || give_up "not installed: ${wanted[*]}"
for service in prometheus prometheus-alertmanager; do
  if command -v systemctl >/dev/null && [[ " ${wanted[*]} " == *" $service "* ]]; then
    "${as_root[@]}" systemctl disable --quiet "$service" || true
  fi
done
for name in "$@"; do found "$name" || give_up "the packages ${wanted[*]} brought no $name"; done

#!/usr/bin/env bash
# Installs PostgreSQL's server programs from the distribution's packages when
# they are missing and this user may. Starts nothing: every server of ours is
# private to the program that started it.
set -euo pipefail

found() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

found && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "PostgreSQL's server programs are missing, and this user may not install them." >&2
    echo "An administrator runs: apt-get install --no-install-recommends postgresql" >&2
    exit 1
  fi
fi
command -v apt-get >/dev/null || {
  echo "PostgreSQL's server programs are missing, and this is no Debian: install PostgreSQL 15 or later." >&2
  exit 1
}

echo "installing PostgreSQL from the distribution's packages" >&2
# The package would make and start a cluster of its own, which nobody here uses.
conf=/etc/postgresql-common/createcluster.d
"${as_root[@]}" mkdir -p "$conf"
echo 'create_main_cluster = false' | "${as_root[@]}" tee "$conf/no-main-cluster.conf" >/dev/null
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
found || { echo "the package postgresql brought no initdb" >&2; exit 1; }

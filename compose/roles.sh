#!/bin/sh
# Lets the roles that `migrate` has made log in, with the passwords of the secret
# files. Safe to run again: it sets the same passwords, or the new ones.
set -eu
here=$(dirname "$0")
export SECRETS="${SECRETS:-/run/secrets}"
for role in writer board ops watchdog; do
	[ -s "$SECRETS/${role}_password" ] || { echo "roles: $SECRETS/${role}_password is missing or empty" >&2; exit 1; }
done
# psql refuses a password file that others may read, as a mounted secret is.
umask 077
PGPASSFILE="${TMPDIR:-/tmp}/pgpass"
export PGPASSFILE
cat "$SECRETS/owner_pgpass" >"$PGPASSFILE"
exec psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --file="$here/roles.sql"

#!/bin/sh
# Makes the secrets that compose.yaml mounts, random ones, each once: what is
# there is never overwritten.
#
#   make-secrets.sh [FOLDER]     FOLDER is `secrets` beside this script
#
# The folder is for its owner only (0700): that is what keeps other users of
# this machine out. The files inside are 0644, because each is mounted alone
# into containers that run as different users, none of them the owner.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"

random() { od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# there NAME: tells whether it has been made. An empty file is the rest of a
# run that was cut short, and would be an empty password.
there() {
	[ -e "$folder/$1" ] || return 1
	[ -s "$folder/$1" ] || { echo "make-secrets: $folder/$1 is empty: remove it and run this again" >&2; exit 1; }
	echo "kept $1"
}

# make NAME VALUE; printf is the shell's own, so no argument list shows VALUE.
make() {
	(set -C && printf '%s\n' "$2" >"$folder/$1")
	chmod 0644 "$folder/$1"
	echo "made $1"
}

for name in owner_password writer_password watchdog_password board_password ops_password grafana_admin_password grafana_secret_key; do
	there "$name" || make "$name" "$(random)"
done

# The same passwords as PostgreSQL's clients read them from a file.
for name in owner writer watchdog; do
	read -r password <"$folder/${name}_password"
	line="postgres:5432:hyperliquid:whalegate_$name:$password"
	if there "${name}_pgpass"; then
		read -r found <"$folder/${name}_pgpass"
		[ "$found" = "$line" ] || { echo "make-secrets: ${name}_pgpass does not have the password of ${name}_password: remove it and run this again" >&2; exit 1; }
	else
		make "${name}_pgpass" "$line"
	fi
done

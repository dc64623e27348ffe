#!/usr/bin/env bash
# Runs govulncheck. Without a way to the public vulnerability database it says
# so and passes: a machine that cannot ask is not a finding.
set -euo pipefail
if out=$(timeout 300 go run "$1" ./... 2>&1); then
  echo "$out"
elif grep -qE 'fetching vulnerabilities|no such host|connection refused|dial tcp|i/o timeout|403 Forbidden|Proxy' <<<"$out"; then
  echo "vulnerabilities NOT checked: the vulnerability database cannot be reached from here"
else
  echo "$out"
  exit 1
fi

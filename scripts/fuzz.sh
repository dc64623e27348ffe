#!/usr/bin/env bash
# Runs every fuzz target of the project for the given time, one after another.
set -euo pipefail
time=${1:-20s}
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
  go test -list '^Fuzz' "$dir" | grep '^Fuzz' | while read -r target; do
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir"
  done
done

#!/usr/bin/env bash
# Lists the packages whose tests start no server and no browser.
set -euo pipefail
go list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
  awk '!/postgres\/pgtest|postgres\/server|internal\/prometheus|internal\/subprocess|chromedp|dashboards / { print $1 }'

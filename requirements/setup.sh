#!/usr/bin/env bash
# Makes .venv: the penstock command and everything that the lab, the tests and the benches need, at the pinned versions.
# Needs Python 3.11 or newer. Where a Debian package is missing it is installed when this runs as root, and named when not.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv

say() { printf '%s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# A Debian package, and what is missing without it.
install() {
  local package=$1 missing=$2
  command -v apt-get >/dev/null || fail "$missing; install what your system calls $package, then run make setup again"
  [ "$(id -u)" = 0 ] || fail "$missing; run: sudo apt-get install $package"
  say "setup: $missing: installing $package"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null
}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && recent "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done
}

python=$(find_python)
if [ -z "$python" ]; then
  install python3 "Python 3.11 or newer is missing"
  python=$(find_python)
  [ -n "$python" ] || fail "this system's python3 is older than 3.11; name a newer one: make setup PYTHON=/path/to/python3"
fi
"$python" -c 'import ensurepip' 2>/dev/null || install python3-venv "Python's venv module is not complete"
# Go fetches the control plane's modules over HTTPS; Python brings certificates of its own.
if command -v apt-get >/dev/null && [ ! -e /etc/ssl/certs/ca-certificates.crt ] && [ "$(id -u)" = 0 ]; then
  install ca-certificates "the system's CA certificates are missing"
fi

if ! recent $VENV/bin/python; then
  rm -rf $VENV
  "$python" -m venv $VENV
fi
if [ ! -x $VENV/bin/uv ]; then
  # uv comes from the same pinned list as the rest: its lines, hashes included, are what pip is given.
  pinned=$(mktemp)
  trap 'rm -f "$pinned"' EXIT
  awk '/^uv==/ {on = 1} on && /^[^ ]/ && !/^uv==/ {on = 0} on' requirements/dev.txt >"$pinned"
  $VENV/bin/python -m pip --version >/dev/null 2>&1 || $VENV/bin/python -m ensurepip -q
  $VENV/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$pinned"
fi
say "setup: installing $(grep -c '^[a-z].*==' requirements/dev.txt) pinned packages into $VENV"
progress=()
[ -t 2 ] || progress=(-q)
$VENV/bin/uv pip sync "${progress[@]}" --python $VENV/bin/python --require-hashes requirements/dev.txt
$VENV/bin/uv pip install -q --python $VENV/bin/python --no-deps --no-build-isolation -e .
requirements/postgres.sh

if ! command -v go >/dev/null && [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  say "setup: Go is not on PATH. The lab builds its control plane with Go 1.26 or newer (https://go.dev/dl); without it,"
  say "       let KUBEBUILDER_ASSETS name a folder with etcd, kube-apiserver, kube-controller-manager, kubectl and helm."
fi
say "setup: done; the command is $VENV/bin/penstock"

#!/bin/sh
# Writes requirements/*.lock: every platform and Python, with hashes, without an index address.
#   scripts/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
python3 -m venv build/lock
build/lock/bin/python -m pip --quiet --disable-pip-version-check install "uv==0.13.8"

compile() {
  output=$1
  shift
  build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-package interlock-agents \
    --output-file "requirements/$output.lock" "$@"
}

compile runtime pyproject.toml requirements/build.in "$@"
compile dev pyproject.toml requirements/build.in --extra dev --constraints requirements/runtime.lock
compile wire requirements/wire.in --no-deps

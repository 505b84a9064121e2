#!/bin/sh
# Writes requirements/*.lock: every platform and Python, with hashes, without an index address.
#   scripts/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/python" -m pip -qq --disable-pip-version-check install "uv==0.13.8"

compile() {
  output=$1
  shift
  "$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-package interlock-agents \
    --output-file "requirements/$output.lock" "$@"
}

compile runtime pyproject.toml requirements/build.in "$@"
compile dev pyproject.toml requirements/build.in --extra dev --constraints requirements/runtime.lock "$@"
compile wire requirements/wire.in --no-deps "$@"

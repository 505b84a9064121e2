#!/bin/sh
# Makes or completes .venv from a hash-checked lock; does nothing when it is complete already.
#   scripts/setup.sh runtime|dev|wire
set -eu
cd "$(dirname "$0")/.."
root=$(pwd -P)
profile=$1
venv=.venv
at_work=.venv.setup # holds the process that changes .venv; one that was killed leaves it behind

main() {
  case $profile in runtime | dev | wire) ;;
    *) fail "unknown profile '$profile': choose runtime, dev or wire" ;; esac
  [ ! -e $at_work ] && complete && return
  take_turn
  usable || { find_python; make_venv; }
  complete || install
  rm $at_work
}

complete() {
  usable && project_installed || return 1
  installed "$profile" || { [ "$profile" = runtime ] && installed dev; }
}

# A venv is bound to its folder: a moved or half-made one is made again.
usable() {
  [ "$(cat $venv/.interlock-root 2>/dev/null)" = "$root" ] && "$venv/bin/python" -c "" 2>/dev/null
}

take_turn() {
  [ -w . ] || fail "cannot write to $root. Clone it to a folder of your own."
  said=
  until (set -C && echo $$ >$at_work) 2>/dev/null; do
    owner=$(cat $at_work 2>/dev/null) || continue
    if kill -0 "$owner" 2>/dev/null; then
      [ -n "$said" ] || say "waiting for process $owner, which is at it"
      said=yes
      sleep 1
    else
      rm -rf $venv $at_work
    fi
  done
}

install() {
  case $profile in
    runtime) installed dev || installed runtime || install_lock runtime ;;
    dev) installed dev || install_lock dev ;;
    wire) installed wire || install_lock wire ;;
  esac
  project_installed || install_project
}

# Tested versions first: the newest Python may be younger than the wheels.
find_python() {
  if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"
  else set -- python3.13 python3.12 python3.11 python3.14 python3; fi
  for python; do
    if "$python" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))" \
      >/dev/null 2>&1; then return; fi
  done
  fail "found no Python 3.11 or newer with its venv module (tried: $*)." \
    "Install one, or name it: make PYTHON=/path/to/python3 setup"
}

make_venv() {
  say "making $venv with $("$python" --version)"
  "$python" -m venv --clear $venv
  echo "$root" >$venv/.interlock-root
}

# A lock names all that it takes: without dependencies nothing is resolved, so that no later release can disturb it.
install_lock() {
  lock=$1
  [ "$lock" = wire ] || rm -f "$(stamp runtime)" "$(stamp dev)"
  say "installing $(grep -c '==' "requirements/$lock.lock") packages of requirements/$lock.lock"
  pip install --require-hashes --no-deps -r "requirements/$lock.lock"
  [ "$lock" = wire ] || pip check >&2 || fail "requirements/$lock.lock is not complete. Run make lock."
  fingerprint "requirements/$lock.lock" >"$(stamp "$lock")"
}

install_project() {
  pip install --no-deps --no-build-isolation --editable .
  fingerprint pyproject.toml >"$(stamp project)"
}

installed() { matches "requirements/$1.lock" "$(stamp "$1")"; }
project_installed() { matches pyproject.toml "$(stamp project)"; }
matches() { [ "$(fingerprint "$1")" = "$(cat "$2" 2>/dev/null)" ]; }
fingerprint() { cksum <"$1"; }
stamp() { echo "$venv/.interlock-$1"; }
pip() { "$venv/bin/python" -m pip -qq --disable-pip-version-check --no-input "$@"; }
say() { echo "setup: $*" >&2; }
fail() { echo "setup: $*" >&2; exit 1; }

main

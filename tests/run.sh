#!/bin/sh
# Pass the tests, on a machine with nothing but Python 3.11+: sh tests/run.sh [pytest arguments]
# Sets up .venv in the checkout and installs tmux where it may.
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh
need_tmux
make_venv ".[dev]"
# More workers than cores: the tests mostly wait for programs to start and end.
exec "$VENV/bin/python" -m pytest --numprocesses 4 "$@"

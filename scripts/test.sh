#!/usr/bin/env bash
# Make the environment, then lint and test, a file on each core (most tests wait for Python, not for PyTorch). Arguments go
# to pytest; -n 0 keeps it in one process.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
environment requirements-dev.txt
ruff format --check .
ruff check .
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}  # a thread for each of the processes: those of several would wait for each other
exec python -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"

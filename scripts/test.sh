#!/usr/bin/env bash
# Make the environment, then lint and test. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
environment requirements-dev.txt
ruff format --check .
ruff check .
exec python -m pytest "$@"

#!/usr/bin/env bash
# scripts/test.sh            style, types, and all tests but the slow ones
# scripts/test.sh --all      the slow tests too (so does CI=true)
# scripts/test.sh ARGUMENTS  only pytest, with these arguments (paths count from the repository root)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

selection="not slow"
if [[ "${1:-}" == "--all" ]]; then
    selection=""
    shift
elif [[ $# == 0 && "${CI:-}" == "true" ]]; then
    selection=""
fi

prepare_environment dev
cd "$root"
# The tests' tensors are small: more threads make them slower.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

if [[ $# -gt 0 ]]; then
    exec "$python" -m pytest -m "$selection" "$@"
fi

echo "Checking the style with ruff."
"$python" -m ruff check .
"$python" -m ruff format --check .
echo "Checking the types with pyright."
"$python" -m pyright --pythonpath "$python"
if [[ "${CI:-}" == "true" ]]; then
    echo "Fetching the real data that some tests use."
    "$python" scripts/fetch_data.py usgs orl debian || echo "Not to be had here: those tests are skipped."
fi
echo "Running the tests."
exec "$python" -m pytest -m "$selection" -n auto --maxprocesses 4

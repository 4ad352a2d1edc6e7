#!/usr/bin/env bash
# scripts/release.sh            builds the wheel and the sdist in dist/ and tries the wheel where
#                               nothing else is installed
# scripts/release.sh --no-trial only builds and checks them
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

if [[ -n "$(git status --porcelain)" ]]; then
    echo "There are changes that are not committed; a release is a commit." >&2
    exit 1
fi
prepare_environment dev
version="$("$python" -c 'import rlra_torch; print(rlra_torch.__version__)')"
if ! grep -q "^## $version " CHANGELOG.md || ! grep -q "^version: $version$" CITATION.cff; then
    echo "CHANGELOG.md and CITATION.cff must both name version $version." >&2
    exit 1
fi
pip_install twine
rm -rf dist
"$python" -m build --outdir dist .
"$python" -m twine check --strict dist/*
"$python" -m pytest -q tests/test_release.py

if [[ "${1:-}" != "--no-trial" ]]; then
    trial="$(mktemp -d)"
    trap 'rm -rf "$trial"' EXIT
    echo "Installing the wheel in an empty environment; torch is a large download."
    "$(find_python)" -m venv "$trial/venv"
    python="$trial/venv/bin/python"
    pip_install dist/*.whl
    cd "$trial"
    "$python" -c 'import numpy, torch; numpy.save("Y.npy", torch.rand(30, 40).numpy())'
    venv/bin/rlra --version
    venv/bin/rlra factorize --data Y.npy --rank 3 --out run
    "$python" -c 'import torch; from rlra_torch import nmf; print(nmf(torch.rand(9, 8), rank=2))'
    cd "$root"
fi
echo "Version $version is in dist/. Tag it: git tag v$version"

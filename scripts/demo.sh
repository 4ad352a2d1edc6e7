#!/usr/bin/env bash
# Unmixes a hyperspectral image of fields and woods (Indian Pines) into six materials.
# scripts/demo.sh [ARGUMENTS of `rlra unmix`]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if is_installed hsi dev; then
    echo "This unmixes the Indian Pines image into six materials; it takes about a minute."
else
    echo "This installs rlra_torch into .venv (several minutes, once), then unmixes the Indian Pines" \
        "image into six materials (about a minute)."
fi
prepare_environment hsi dev
exec "$venv/bin/rlra" unmix --data indian_pines --rank 6 --out "$root/runs/indian_pines" "$@"

#!/usr/bin/env bash
# Unmixes a hyperspectral image of fields and woods (Indian Pines) into six materials, then trains an
# unrolled network on mixtures of measured minerals and compares it with the algorithm it came from.
# scripts/demo.sh [ARGUMENTS of `rlra unmix`]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

what="This unmixes the Indian Pines image into six materials and trains a small network"
if is_installed hsi,report,train dev; then
    echo "$what; it takes about five minutes."
else
    echo "First this installs rlra_torch into .venv (several minutes, once)." "$what (about five minutes)."
fi
prepare_environment hsi,report,train dev
"$venv/bin/rlra" unmix --data indian_pines --rank 6 --out "$root/runs/indian_pines" "$@"

echo
echo "NALMU: 25 multiplicative updates whose gains and momenta are learned from mixtures of minerals."
data=()
if ! "$python" "$root/scripts/fetch_data.py" usgs; then
    echo "The measured minerals cannot be had here: synthetic spectra take their place."
    data=(--config "$root/configs/unmixing/synthetic.yaml")
fi
cd "$root"
"$venv/bin/rlra" train --config configs/unmixing/nalmu.yaml "${data[@]}" \
    --trainer.default_root_dir runs/demo
"$venv/bin/rlra" test --ckpt_path runs/demo

# Sourced by the other scripts, not run. It names the repository ($root) and its Python ($python), and
# `prepare_environment EXTRA [RICHER...]` sees to it that rlra_torch is installed there.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="$root/.venv"
python="$venv/bin/python"

find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python >= 3.11 with its venv module is on PATH: install one and call this again." >&2
    return 1
}

# What an installation depends on; the path is in it because a moved .venv points to the old place.
fingerprint() {
    { cat "$root/pyproject.toml" && echo "$root ${TORCH_SPEC:-}"; } | cksum
}

# Is EXTRA, or one of the RICHER sets of packages, installed from the present pyproject.toml?
is_installed() {
    local extra current
    current="$(fingerprint)"
    for extra in "$@"; do
        if [[ -x "$python" && -f "$venv/installed-$extra" &&
            "$(cat "$venv/installed-$extra")" == "$current" ]]; then
            return 0
        fi
    done
    return 1
}

pip_install() {
    "$python" -m pip --disable-pip-version-check install -qq "$@"
}

# TORCH_SPEC, if set, holds other arguments for pip than the pinned pair below; pip then brings
# whatever is there to these versions.
prepare_environment() {
    if is_installed "$@"; then
        return
    fi
    if ! "$python" -c 'import pip' 2>/dev/null; then
        local base
        base="$(find_python)"
        echo "Making the virtual environment .venv with $("$base" --version)."
        "$base" -m venv --clear "$venv"
    fi
    if [[ -n "${TORCH_SPEC:-}" ]] || ! "$python" -c 'import torch, torchvision' 2>/dev/null; then
        local spec="${TORCH_SPEC:-torch==2.14.1 torchvision==0.29.1}"
        echo "Installing $spec, a large download that can take several minutes."
        # shellcheck disable=SC2086  # several requirements in one string
        pip_install $spec
    fi
    echo "Installing rlra_torch and the packages of its extra '$1', about a minute."
    pip_install -e "$root[$1]"
    if [[ "$1" == dev ]]; then
        # It renders the notes of some tests. Without its dependency pyaudio, which only plays sounds
        # and needs a compiler and PortAudio.
        pip_install --no-deps tinysoundfont || echo "No tinysoundfont: tests that need it are skipped."
    fi
    fingerprint >"$venv/installed-$1"
}

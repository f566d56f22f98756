#!/usr/bin/env bash
# Make the virtual environment with everything that training, the demo and the checks need.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: tools/make_venv.sh VENV [BASE_PYTHON]

  VENV         folder of the virtual environment; kept if it is there
  BASE_PYTHON  Python 3.11 or 3.12 (python3); if it has PyTorch already, that PyTorch is used

environment:
  TORCH        what to install as PyTorch where there is none, arguments of pip install
               (torch==2.13.0), e.g. TORCH="torch --index-url https://download.pytorch.org/whl/cu126"
  EXTRAS       extras of setup.py (dev,tensorboard)
USAGE
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
    "") usage >&2; exit 2 ;;
esac

venv=$1
base=${2:-python3}
torch=${TORCH:-torch==2.13.0}
root=$(cd "$(dirname "$0")/.." && pwd)

if ! "$base" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; then
    echo "error: '$base' is $("$base" --version 2>&1); needs Python 3.11 or 3.12: BASE_PYTHON=/path/to/python" >&2
    exit 2
fi

shared=()
if "$base" -c 'import torch' 2>/dev/null; then
    echo "PyTorch $("$base" -c 'import torch; print(torch.__version__)') of $base is used"
    shared=(--system-site-packages)
fi

if [ ! -x "$venv/bin/python" ]; then
    # Without the ensurepip module (Debian's python3 without python3-venv) the outer pip fills the environment.
    if "$base" -c 'import ensurepip' 2>/dev/null; then
        "$base" -m venv "${shared[@]}" "$venv"
    else
        "$base" -m venv --without-pip "${shared[@]}" "$venv"
        "$base" -m pip --python "$venv/bin/python" install --quiet pip
    fi
fi

# A base that is a virtual environment itself is not what --system-site-packages shares: point to it.
if [ ${#shared[@]} -gt 0 ] && ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    "$base" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base_python.pth"
fi

pip=("$venv/bin/python" -m pip --disable-pip-version-check)
# PyTorch first: the other requirements would pull in the newest CUDA build.
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    # shellcheck disable=SC2086  # TORCH may hold options
    "${pip[@]}" install $torch
fi
"${pip[@]}" install --editable "$root[${EXTRAS:-dev,tensorboard}]"

if [ ${#shared[@]} -eq 0 ]; then
    "${pip[@]}" check
else
    "${pip[@]}" check || echo "note: packages of $base take part in this check; those listed may not concern mapllava"
fi
"$venv/bin/python" -c 'import torch; print("PyTorch", torch.__version__, "on", "GPU" if torch.cuda.is_available() else "CPU")'

#!/usr/bin/env bash
# Train on several GPUs, or with several processes on a machine without one.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]

  PROCESSES  per machine: one for each GPU

environment, for several machines (run it on each):
  NNODES       number of machines (1)        NODE_RANK  number of this one, from 0 (0)
  MASTER_ADDR  address of machine 0          PORT       a free port there (29500)
  PYTHON       the interpreter (python)
USAGE
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
esac
if [ $# -lt 2 ] || ! [[ "$2" =~ ^[1-9][0-9]*$ ]]; then
    usage >&2
    exit 2
fi

config=$1
processes=$2
shift 2
script=${MAPLLAVA_TOOL:-train.py}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ -z "${MAPLLAVA_RUN_STAMP:-}" ]; then
    MAPLLAVA_RUN_STAMP=$(date +%Y%m%d_%H%M%S)
    while compgen -G "outputs/*_$MAPLLAVA_RUN_STAMP" >/dev/null; do # the clock was put back
        sleep 1
        MAPLLAVA_RUN_STAMP=$(date +%Y%m%d_%H%M%S)
    done
fi
export MAPLLAVA_RUN_STAMP

if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    where=(--standalone)
else
    where=(
        --nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}"
        --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}"
    )
fi

exec "${PYTHON:-python}" -m torch.distributed.run "${where[@]}" --nproc-per-node "$processes" \
    "$(dirname "$0")/$script" "$config" "$@" --launcher pytorch

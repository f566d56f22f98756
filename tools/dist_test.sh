#!/usr/bin/env bash
# Test on several GPUs, or with several processes on a machine without one.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]

  PROCESSES  per machine: one for each GPU
  Environment as for tools/dist_train.sh: NNODES, NODE_RANK, MASTER_ADDR, PORT, PYTHON.
USAGE
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
esac
if [ $# -lt 3 ] || ! [[ "$3" =~ ^[1-9][0-9]*$ ]]; then
    usage >&2
    exit 2
fi

config=$1
checkpoint=$2
processes=$3
shift 3
MAPLLAVA_TOOL=test.py exec bash "$(dirname "$0")/dist_train.sh" "$config" "$processes" "$checkpoint" "$@"

#!/usr/bin/env bash
# Train on several GPUs, or with several processes on a machine without one.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]

  PROCESSES  per machine: one for each GPU

environment, for several machines (run it on each):
  NNODES        number of machines (1)       NODE_RANK    number of this one, from 0
  MASTER_ADDR   address of machine 0         MASTER_PORT  a free port there (29500); PORT is the same
  MAX_RESTARTS  how often all processes start again after one of them died (0); a restarted run goes
                on from its newest checkpoint, as with --resume auto
  TORCH_ELASTIC_SHUTDOWN_TIMEOUT  seconds that a stopped run has for saving before it is killed (600)
  PYTHON        the interpreter (python)     TORCHRUN     the launcher (PYTHON -m torch.distributed.run)

examples:
  bash tools/dist_train.sh configs/stage2/trainval.py 8
  MAX_RESTARTS=3 bash tools/dist_train.sh configs/stage2/trainval.py 8 --work-dir outputs/night
  NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 bash tools/dist_train.sh configs/stage2/trainval.py 8
USAGE
}

refuse() {
    usage >&2
    printf 'error: %s\n' "$1" >&2
    exit 2
}

number() { # NAME VALUE SMALLEST
    [[ "$2" =~ ^(0|[1-9][0-9]{0,8})$ ]] && [ "$2" -ge "$3" ] ||
        refuse "$1 is '$2': give a whole number, at least $3"
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
esac
[ $# -ge 2 ] || refuse "CONFIG and PROCESSES are needed"
number PROCESSES "$2" 1

config=$1
processes=$2
shift 2
nodes=${NNODES:-1}
port=${MASTER_PORT:-${PORT:-}}
restarts=${MAX_RESTARTS:-0}
number NNODES "$nodes" 1
number MAX_RESTARTS "$restarts" 0
[ -z "$port" ] || number MASTER_PORT "$port" 1
if [ "$nodes" -gt 1 ]; then
    [ -n "${MASTER_ADDR:-}" ] || refuse "MASTER_ADDR is not set: NNODES=$nodes needs the address of machine 0"
    [ -n "${NODE_RANK:-}" ] || refuse "NODE_RANK is not set: NNODES=$nodes needs this machine's number"
    number NODE_RANK "$NODE_RANK" 0
    [ "$NODE_RANK" -lt "$nodes" ] || refuse "NODE_RANK is $NODE_RANK: machines count from 0 to $((nodes - 1))"
fi

script=${MAPLLAVA_TOOL:-train.py}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export MAPLLAVA_LAUNCH=${MAPLLAVA_LAUNCH:-$(uname -n)-$$-$(date +%s%N)} # a restart finds its run folder by this
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-600} # torchrun's own 30 s cut off a save

if [ "$nodes" = 1 ] && [ -z "$port" ]; then
    where=(--standalone)
else
    where=(
        --nnodes "$nodes" --node-rank "${NODE_RANK:-0}"
        --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${port:-29500}"
    )
    if [ "${NODE_RANK:-0}" = 0 ] && (: <"/dev/tcp/127.0.0.1/${port:-29500}") 2>/dev/null; then
        refuse "port ${port:-29500} is in use by another program or run: choose a free one, MASTER_PORT=29501 for instance"
    fi
fi
if [ "$restarts" -gt 0 ]; then
    where+=(--max-restarts "$restarts")
fi
read -r -a launcher <<<"${TORCHRUN:-${PYTHON:-python} -m torch.distributed.run}"

# At its first import ever yapf, which MMEngine has, writes a file that processes starting together would spoil
"${PYTHON:-python}" -c 'import yapf.yapflib.yapf_api' >/dev/null 2>&1 || true

exec "${launcher[@]}" "${where[@]}" --nproc-per-node "$processes" \
    "$(dirname "$0")/$script" "$config" "$@" --launcher pytorch

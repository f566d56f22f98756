#!/usr/bin/env bash
# Train on a Slurm cluster: srun starts one process for each GPU.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: tools/slurm_train.sh PARTITION JOB CONFIG GPUS [options of tools/train.py]

  PARTITION  the cluster's partition     JOB   the job's name
  CONFIG     the config file             GPUS  in all, over all nodes

environment:
  GPUS_PER_NODE  at most, on one node (GPUS, and no more than 8)
  CPUS_PER_TASK  CPU cores for each GPU, data workers included (5)
  MASTER_PORT    a free port on the first node (29500)
  SRUN_ARGS      more options of srun, for instance "--time=24:00:00 --mem=200G"
  PYTHON         the interpreter (python)

A job that Slurm requeues (SRUN_ARGS=--requeue) goes on from its newest checkpoint, as with
--resume auto; give it a --work-dir, or it takes the newest run of the same config.

examples:
  bash tools/slurm_train.sh gpu night configs/stage2/trainval.py 8
  GPUS_PER_NODE=4 SRUN_ARGS="--time=24:00:00" bash tools/slurm_train.sh gpu night configs/stage2/trainval.py 16
USAGE
}

refuse() {
    usage >&2
    printf 'error: %s\n' "$1" >&2
    exit 2
}

number() { # NAME VALUE
    [[ "$2" =~ ^[1-9][0-9]{0,8}$ ]] || refuse "$1 is '$2': give a whole number, at least 1"
}

case "${1:-}" in
    -h | --help) usage; exit 0 ;;
esac
[ -n "${1:-}" ] || refuse "PARTITION is missing: sinfo lists the cluster's partitions"
[ -n "${2:-}" ] || refuse "JOB is missing: give the job a name"
[ -n "${3:-}" ] || refuse "CONFIG is missing, for instance configs/stage2/trainval.py"
[ -n "${4:-}" ] || refuse "GPUS is missing: how many in all"
partition=$1
job=$2
config=$3
gpus=$4
shift 4
[ -f "$config" ] || refuse "config '$config' is not there"
number GPUS "$gpus"
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
cpus=${CPUS_PER_TASK:-5}
number GPUS_PER_NODE "$per_node"
number CPUS_PER_TASK "$cpus"
number MASTER_PORT "${MASTER_PORT:-29500}"
[ "$gpus" -ge "$per_node" ] || per_node=$gpus
[ $((gpus % per_node)) = 0 ] || refuse "GPUS is $gpus, no multiple of GPUS_PER_NODE=$per_node"
command -v srun >/dev/null || refuse "srun is not on PATH: run this on a login node of a Slurm cluster"

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export MASTER_PORT=${MASTER_PORT:-29500}
read -r -a more <<<"${SRUN_ARGS:-}"

# At its first import ever yapf, which MMEngine has, writes a file (in a home that nodes share) that processes
# starting together would spoil
"${PYTHON:-python}" -c 'import yapf.yapflib.yapf_api' >/dev/null 2>&1 || true

exec srun --partition "$partition" --job-name "$job" --nodes "$((gpus / per_node))" --ntasks "$gpus" \
    --ntasks-per-node "$per_node" --gres "gpu:$per_node" --cpus-per-task "$cpus" --kill-on-bad-exit=1 \
    "${more[@]}" "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" "$@" --launcher slurm

#!/usr/bin/env bash
# From nothing to a trained, scored and drawn model: public commands only, each shown before it runs.
# A second run keeps the city and its caches.
set -euo pipefail

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    echo "usage: tools/demo.sh    (sizes: the DEMO_* variables, at the top of this file)"
    exit 0
fi

: "${PYTHON:=python}"
# The demo's size; every variable can be given in the environment or to make.
: "${DEMO_ROOT:=data/synthetic}"
: "${DEMO_VERSION:=v1.0-trainval}"
: "${DEMO_TRAIN_SCENES:=110}"
: "${DEMO_VAL_SCENES:=10}"
: "${DEMO_SAMPLES:=20}"
: "${DEMO_IMAGE_SIZE:=384x216}"
: "${DEMO_WORKERS:=2}"
: "${DEMO_CONFIG:=configs/stage2/synthetic.py}"
: "${DEMO_TRAIN_OPTIONS:=}"
: "${DEMO_RUN:=}" # empty: a new folder in outputs/
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

say() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
run() { printf '$ %s\n' "$(printf '%q ' "$@")"; "$@"; }

start=$SECONDS
say "1/4 a synthetic city, written as a nuScenes data set"
run "$PYTHON" tools/create_synthetic_nuscenes.py "$DEMO_ROOT" --version "$DEMO_VERSION" \
    --scenes-train "$DEMO_TRAIN_SCENES" --scenes-val "$DEMO_VAL_SCENES" --samples-per-scene "$DEMO_SAMPLES" \
    --image-size "$DEMO_IMAGE_SIZE" --workers "$DEMO_WORKERS"

say "2/4 its ground truth"
run "$PYTHON" tools/create_gt_cache.py --dataroot "$DEMO_ROOT" --version "$DEMO_VERSION" --split all \
    --workers "$DEMO_WORKERS"

say "3/4 training"
if [ -z "$DEMO_RUN" ]; then
    mkdir -p outputs
    while DEMO_RUN=outputs/map_detection_stage2_$(date +%Y%m%d_%H%M%S) && ! mkdir "$DEMO_RUN" 2>/dev/null; do
        sleep 1 # taken in this second
    done
    trap 'rmdir "$DEMO_RUN" 2>/dev/null || true' EXIT # a start that failed has left it empty
fi
# shellcheck disable=SC2086  # options are words
run "$PYTHON" tools/train.py "$DEMO_CONFIG" --work-dir "$DEMO_RUN" --cfg-options data_root="$DEMO_ROOT" \
    $DEMO_TRAIN_OPTIONS

say "4/4 the score on held-out scenes, and pictures"
run "$PYTHON" tools/test.py "$DEMO_CONFIG" "$DEMO_RUN/best_model.pth" --show-dir "$DEMO_RUN/pictures" \
    --out "$DEMO_RUN/predictions.json" --cfg-options data_root="$DEMO_ROOT"

say "done in $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
cat <<DONE
data set      $DEMO_ROOT
run folder    $DEMO_RUN   (config.json, log, checkpoints, metrics.json; test/ has the test's)
best model    $DEMO_RUN/best_model.pth
pictures      $DEMO_RUN/pictures
predictions   $DEMO_RUN/predictions.results.json

next: draw the map of a scene that it has not seen, or of your own car (docs/en/own_cameras.md)
  mapllava predict $DEMO_RUN/best_model.pth $DEMO_ROOT --scene scene-0003 --out maps
does it look at the images?
  $PYTHON tools/test.py $DEMO_CONFIG $DEMO_RUN/best_model.pth --ablate blank --cfg-options data_root=$DEMO_ROOT
the model, card and sample that the package carries (mapllava/demo), made anew from this run
  mapllava convert demo $DEMO_RUN/best_model.pth mapllava/demo \\
      --cache $DEMO_ROOT/gt_cache/gt_cache_${DEMO_VERSION}_val.pkl
DONE

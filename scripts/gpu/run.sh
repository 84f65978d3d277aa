#!/usr/bin/env bash
# run.sh STAGE [OPTION...]: one stage of a quarter of an hour on a GPU: smoke, mouth, eye, bench, full, fetch. docs/TRAINING.md
# run.sh --rehearse [OPTION...]: every stage on this machine's processor, and the list of what would travel.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = --rehearse ]; then
    shift
    exec scripts/gpu/rehearse.sh "$@"
fi
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-8} # of the process that trains; those that plan samples have one each
exec "${PYTHON:-python3}" -m avatar.learning.gpu.stages "$@" --out "${OUT:-runs/gpu/out}"

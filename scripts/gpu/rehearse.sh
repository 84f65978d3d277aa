#!/usr/bin/env bash
# rehearse.sh [--freight FOLDER] [--quick]: what would travel, then every stage on this machine's processor with tiny numbers.
# Without --freight, the freight that is used is the one that `visavis dataset pack` wrote to freight/.
set -euo pipefail
cd "$(dirname "$0")/../.."
freight=freight most=400 seconds=20
while [ $# -gt 0 ]; do
    case $1 in
    --freight) freight=$2; shift ;;
    --quick) most=60 seconds=4 ;;
    *) echo "rehearse.sh: there is no option $1: --freight FOLDER, --quick" >&2; exit 2 ;;
    esac
    shift
done
[ -f "$freight/freight.json" ] || {
    echo "$freight holds no freight. Make it: visavis dataset pack DATA --for-gpu $freight" >&2
    exit 1
}
python=${PYTHON:-python3}
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT

echo "What travels in each call, beside the tracked files, one shard at a time:"
for shard in "$freight"/shard-*.safetensors; do
    "$python" scripts/gpu/freight.py -- "$python" scripts/gpu/freight.py list \
        "$freight/freight.json" "$freight/efficientnet_lite0.safetensors" "$freight/face_identity.safetensors" "$shard"
done

stage() {
    echo
    echo "== $* =="
    OUT=$run/out/$1 PYTHON=$python scripts/gpu/run.sh "$@" --device cpu --tiny --freight "$freight" --run "$run" \
        --workers 0 --most "$most"
    ls -l "$run/out/$1" | awk 'NR > 1 {printf "   came back: %s, %.2f MB\n", $NF, $5 / 1e6}'
}
stage smoke --seconds "$seconds" --batch 8
stage mouth --seconds "$seconds" --batch 2
stage mouth --seconds "$seconds" --batch 2 # the same again goes on from its checkpoint
stage bench --seconds 20
stage full --seconds "$seconds" --batch 2
stage fetch --size full
"$python" -m avatar.learning.gpu.stages join --freight "$run/out/fetch" --out "$run/joined"

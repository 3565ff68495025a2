#!/bin/sh
# examples.sh PYTHON: measure the committed examples under docs/ anew: the claims and the coarse maps.
set -eu
python=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# 4: a verdict rests on an invalid step; the page says so
measure() {
    code=0
    "$python" bench.py run "$@" --seed 2017 \
        --results "$folder/results" --reports "$folder/reports" || code=$?
    [ "$code" = 0 ] || [ "$code" = 4 ] || exit "$code"
}
measure --profile blog
PYTHONPATH=. "$python" benchmarks/claims_2017.py "$folder/results/latest" > docs/claims.md
measure --profile sweep
cp "$folder/reports/latest/map.md" docs/map-rows.md
measure --profile map
cp "$folder/reports/latest/map.md" docs/map.md
if command -v chromium >/dev/null 2>&1; then
    "$python" scripts/picture.py "$folder/reports/latest/index.html" docs/map.png "#map figure"
fi

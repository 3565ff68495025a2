#!/bin/sh
# nightly.sh PYTHON BASE MINUTES [gate's options]: the gate of the night, its files and its history.
# Ends with 1 only where something got worse; what could not be told or measured is said and is no
# failure. Set STRICT=1 to get the gate's own exit code (4: inconclusive or invalid).
set -u
python=$1 base=$2 minutes=$3
shift 3
case $minutes in
    '' | *[!0-9]* | 0) echo "error: MINUTES=$minutes is not a whole number of minutes" >&2; exit 2 ;;
esac
# once an hour is enough to know what the client can do here
[ -f results/calibration.json ] || "$python" bench.py calibrate || exit $?
code=0
"$python" bench.py gate --profile nightly --base "$base" --time-budget $((minutes * 60)) \
    --junit reports/nightly/junit.xml --summary "${GITHUB_STEP_SUMMARY:-reports/nightly/summary.md}" \
    --history "$@" || code=$?
"$python" bench.py history show || echo "note: the history could not be shown" >&2
if [ "$code" = 4 ] && [ "${STRICT:-}" != 1 ]; then
    echo "::warning title=performance gate::inconclusive or invalid: see the summary"
    exit 0
fi
exit "$code"

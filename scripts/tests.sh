#!/bin/sh
# tests.sh PYTHON FIRST SECOND [pytest's options]: both parts of the tests, whatever fails in the
# first; all failures once more at the end. FIRST and SECOND choose tests by their marks; those of
# FIRST mind no busy machine, and run on two cores. Ends with 1 where a test failed, with 5 where
# the options left none, with pytest's own code where it could not run or was interrupted.
set -u
python=$1 first=$2 second=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
part() {
    { code=0; "$python" -m pytest -q --continue-on-collection-errors "$@" || code=$?
      echo "$code" >"$folder/code"; } | tee "$folder/said"
    grep -E '^(FAILED|ERROR) ' "$folder/said" >>"$folder/failed"
    code=$(cat "$folder/code")
    # 2 is an interruption, unless it is said that a file could not be read
    case $code in
        0 | 1 | 5) ;;
        *) [ -s "$folder/failed" ] || exit "$code" ;;
    esac
}
: >"$folder/failed"
part -n 2 --dist loadfile -m "$first" "$@"
one=$code
part -m "$second" "$@"
if [ -s "$folder/failed" ]; then
    echo
    echo "failed in both parts together: $(wc -l <"$folder/failed")"
    cat "$folder/failed"
    exit 1
fi
for each in "$one" "$code"; do
    case $each in 0 | 5) ;; *) exit "$each" ;; esac
done
[ "$one" = 5 ] && [ "$code" = 5 ] && exit 5
exit 0

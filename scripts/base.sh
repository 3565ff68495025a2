#!/bin/sh
# base.sh [REVISION]: print base=… for the night: the one asked for, else the newest that is at
# least a day older than HEAD, else HEAD's parent, else HEAD itself (an A/A).
set -eu
asked=${1:-}
if [ -z "$asked" ]; then
    day=$(($(git log -1 --format=%ct HEAD) - 86400))
    asked=$(git rev-list -1 --before="$day" HEAD)
fi
[ -n "$asked" ] || asked=$(git rev-parse --quiet --verify HEAD~1 || git rev-parse HEAD)
echo "base=$(git rev-parse --verify "$asked^{commit}")"

#!/bin/sh
# setup.sh PYTHON VENV LOCK: make the environment from the lock; uv where it can be had, else pip.
# The lock is whole, so nothing is resolved (--no-deps): pyproject.toml says whose pins that ignores.
set -eu
python=$1 venv=$2 lock=$3

"$python" - <<'EOF' || { echo "error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 2; }
import sys
raise SystemExit(sys.version_info < (3, 11))
EOF

# arq and saq exclude our packages; all else is compared without them
apart() {
    "$venv/bin/python" -m asyncdb_bench.plan.apart || echo "without arq and saq" >&2
}

if [ ! -x "$venv/bin/python" ]; then
    echo "setting up $venv (once; about half a minute)"
    "$python" -m venv "$venv" || {
        echo "error: '$python -m venv' failed; on Debian: apt-get install python3-venv" >&2
        exit 2
    }
fi
if [ ! -x "$venv/bin/uv" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
fi
if [ -x "$venv/bin/uv" ] && "$venv/bin/uv" pip install --quiet --compile-bytecode --no-deps \
        --require-hashes --python "$venv/bin/python" --requirement "$lock" 2>"$venv/uv.log"; then
    apart
    exit 0
fi
echo "uv could not install (see $venv/uv.log); trying pip, which takes about a minute"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --requirement "$lock" || {
    echo "error: the packages of $lock could not be installed; see the lines above" >&2
    exit 2
}
"$venv/bin/python" -m compileall -q "$venv/lib" >/dev/null 2>&1 || true
apart

#!/bin/sh
# audit.sh BIN: look up known vulnerabilities of everything in requirements.lock. Ends with 1 where
# there is one; where no source of advisories can be reached, it says so and ends with 0.
set -u
bin=$1
said=$("$bin/uv" tool run --quiet pip-audit==2.9.0 --vulnerability-service osv --disable-pip \
    --require-hashes --progress-spinner off --requirement requirements.lock 2>&1)
code=$?
case $said in
    *"known vulnerabilit"*) printf '%s\n' "$said" | tail -40 ;;
    *) printf 'audit: not done, no source of advisories can be reached from here (%s)\n' \
        "$(printf '%s\n' "$said" | tail -1 | cut -c1-160)"; exit 0 ;;
esac
exit "$code"

#!/bin/sh
# Write .env for docker-compose.yml: random passwords, unless there are some, and how many copies of
# what: APPS, WORKERS, LOAD as NAME=COUNT; without a count what stands there is kept.
set -eu
umask 077
random() { od -An -N18 -tx1 /dev/urandom | tr -d ' \n'; }
if [ ! -f .env ]; then
    printf 'POSTGRES_PASSWORD=%s\nRABBITMQ_PASSWORD=%s\n' "$(random)" "$(random)" > .env
    echo "wrote .env with random passwords"
fi
put() {
    grep -v "^$1=" .env > .env.new || true
    echo "$1=$2" >> .env.new
    mv .env.new .env
}
for given in "$@"; do
    name=${given%%=*} count=${given#*=}
    case $count in
        "") ;;
        *[!0-9]* | 0 | ???*) echo "error: $given: give 1 to 99" >&2; exit 2 ;;
        *)
            put "$name" "$count"
            # eight connections for each worker, and some for everything else
            [ "$name" != WORKERS ] || put CONNECTIONS "$((count * 8 + 100))"
            ;;
    esac
done

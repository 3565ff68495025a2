#!/bin/sh
# Write .env with random passwords for docker-compose.yml, unless there is one.
set -eu
[ -f .env ] && exit 0
umask 077
random() { od -An -N18 -tx1 /dev/urandom | tr -d ' \n'; }
printf 'POSTGRES_PASSWORD=%s\nRABBITMQ_PASSWORD=%s\n' "$(random)" "$(random)" > .env
echo "wrote .env with random passwords"

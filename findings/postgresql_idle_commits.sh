#!/bin/sh
# PostgreSQL 15.20 (also 18.6): a connection that does nothing commits transactions, because of DDL in other databases.
#
# Guess beforehand: pg_stat_database.xact_commit of a database that nobody asks anything stands still; DDL in one database
# is no business of the connections to another.
# Seen: while 300 tables are made and dropped in one database, four idle connections to another add to its xact_commit, in
# whole rounds (one for each connection): the queue of catalog changes is shared by the cluster, and an idle backend that is
# told to catch up does so in a transaction of its own. Their statements in the log and pg_stat_statements show none of it.
# The counts are reported when the connections end.
#
# Needs a PostgreSQL that trusts postgres on 127.0.0.1 (or PGPORT of one) and does nothing else. Fails if what is seen changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9'
"$folder/venv/bin/python" - <<'PYTHON'
import os
import time

import psycopg

PLACE = f"host=127.0.0.1 user=postgres port={os.environ.get('PGPORT', '5432')}"
NAMES = ("idle_commits_quiet", "idle_commits_busy")


def connected(database):
    return psycopg.connect(f"{PLACE} dbname={database}", autocommit=True)


def commits(admin):
    # an idle backend that has just ended may still be reporting
    time.sleep(1.0)
    row = admin.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = %s", [NAMES[0]])
    return row.fetchone()[0]


def in_between(admin, tables):
    """Return what four idle connections committed while tables were made in another database."""
    before = commits(admin)
    idle = [connected(NAMES[0]) for _ in range(4)]
    with connected(NAMES[1]) as busy:
        for number in range(tables):
            busy.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, name text); DROP TABLE t{number}")
    time.sleep(1.0)
    for each in idle:
        each.close()
    # each backend starts in a transaction
    return commits(admin) - before - len(idle)


with connected("postgres") as admin:
    print(admin.execute("SHOW server_version").fetchone()[0])
    admin.execute("SELECT set_config('client_min_messages', 'error', false)")
    for name in NAMES:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name}")
    try:
        none, many = in_between(admin, 0), in_between(admin, 300)
    finally:
        for name in NAMES:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
print(f"committed by four idle connections: {none} without DDL elsewhere, {many} beside 300 tables")
raise SystemExit(0 if none == 0 and many >= 4 else "changed: idle connections commit nothing now")
PYTHON

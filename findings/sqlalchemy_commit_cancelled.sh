#!/bin/sh
# SQLAlchemy 2.1.9, psycopg 3.3.9: after a COMMIT that was cancelled the next user of the connection gets an error.
#
# Guess beforehand: where a COMMIT fails, the connection is rolled back before it goes back to the pool, as after any
# other error.
# Seen: a cancel request that arrives as COMMIT begins fails it as it would any statement (QueryCanceled), and the
# transaction stays open, aborted (INERROR). `Transaction._do_commit` has marked it inactive before; closing the
# connection then rolls back only an active one, and tells the pool that there is nothing to reset. Whoever gets the
# connection next has "current transaction is aborted" at his first statement: in an application, a 500 of a request
# that nobody cancelled. So a query may be cancelled from outside only while a statement other than COMMIT runs
# (asyncdb_bench/contract/abandoning.py).
#
# Needs a PostgreSQL in DATABASE_URL. Cancels commits at chance moments until one is met, for a minute at most.
# Prints what it saw; fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "sqlalchemy==2.1.9" "psycopg[binary]==3.3.9"
cat >"$folder/seen.py" <<'PYTHON'
import os
import random
import threading
import time

from sqlalchemy import create_engine, exc, make_url, text

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
engine = create_engine(url, pool_size=1, max_overflow=0)
draw, until, tries = random.Random(1), time.monotonic() + 60, 0
failed = None
while failed is None and time.monotonic() < until:
    tries += 1
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        driver = connection.connection.driver_connection
        canceller = threading.Thread(target=driver.cancel_safe)
        canceller.start()
        went_on = time.perf_counter() + draw.uniform(0, 0.0015)
        while time.perf_counter() < went_on:
            pass
        try:
            connection.commit()
        except exc.DBAPIError as error:
            failed = f"{type(error.orig).__name__}, transaction {driver.info.transaction_status.name}"
        canceller.join()
if failed is None:
    raise SystemExit(f"no COMMIT of {tries} was met")
print(f"COMMIT number {tries} was met: {failed}")
with engine.connect() as connection:
    try:
        connection.execute(text("SELECT 1"))
    except exc.DBAPIError as error:
        print(f"the next user of the connection: {type(error.orig).__name__}")
        raise SystemExit(0) from None
raise SystemExit("the next user of the connection notices nothing")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"

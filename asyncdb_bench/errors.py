"""One tree of errors; the command line turns each into a line and an exit code.

::

    BenchError
    ├── UsageError            2  the request cannot be carried out as it was put
    │   ├── UnknownNameError     no strategy, scenario, profile or knob of that name
    │   ├── KnobError            a knob's value is out of bounds or of the wrong type
    │   ├── PluginError          a strategy or scenario file does not import or lacks a part
    │   └── StoreError           results cannot be read, or not written where they should be
    │       └── WriteError       3  results cannot be written any more: the disk is full or gone
    ├── ServiceError          3  PostgreSQL, the broker or the application could not start
    │   ├── UnsupportedError     a strategy refuses what it cannot do; the run goes on without it
    │   └── SaidFailedError      a process of ours says itself why it failed; it would again
    ├── MeasurementError      4  the load generator failed: what it measured is not trusted
    └── UnavailableError         inside the application: answered as 503 with the reason
        ├── RefusedError         likewise, and when to come again
        └── RequestTimeoutError  answered as 504
"""

from __future__ import annotations

import html
import json
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

EXIT_DONE = 0
EXIT_REGRESSED = 1
EXIT_USAGE = 2
EXIT_SERVICE = 3
EXIT_INVALID = 4
EXIT_INTERRUPTED = 130


class BenchError(Exception):
    """The root: its text says what failed, with which value, and what to do next."""

    exit_code: int = EXIT_USAGE


class UsageError(BenchError):
    """The request cannot be carried out as it was put."""


class UnknownNameError(UsageError):
    """A name that is not among the known ones.

    Parameters
    ----------
    kind : what the name should name, e.g. ``"strategy"``.
    name : the name as it was given.
    known : the names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        from difflib import get_close_matches

        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(names) or 'none'}{hint}")


class KnobError(UsageError):
    """A knob's value is out of bounds or of the wrong type."""


class PluginError(UsageError):
    """A strategy or scenario file does not import or lacks a part of its contract."""


class StoreError(UsageError):
    """Results cannot be read, or not written where they should be."""


class WriteError(StoreError):
    """Results cannot be written any more: the disk is full, read-only, or gone."""

    exit_code = EXIT_SERVICE


class ServiceError(BenchError):
    """PostgreSQL, the broker or the application could not start."""

    exit_code = EXIT_SERVICE


class UnsupportedError(ServiceError):
    """A strategy refuses what it cannot do; recorded as *not run, because …*."""


class SaidFailedError(ServiceError):
    """A process of ours says itself why it failed; started again it would say the same."""


class MeasurementError(BenchError):
    """The load generator failed, so what it measured is not trusted."""

    exit_code = EXIT_INVALID


class UnavailableError(BenchError):
    """The pool or queue is exhausted or a service is gone: answered as 503."""


class RefusedError(UnavailableError):
    """Too many requests wait already: answered as 503 with ``Retry-After``."""


class RequestTimeoutError(UnavailableError):
    """The request took longer than the application allows: answered as 504."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, without the secrets that are known."""
    return masked(str(error).strip().partition("\n")[0]) or type(error).__name__


LIBRARIES = re.compile(r"[/\\](site-packages|asyncdb_bench|lib[/\\]python[\d.]+)[/\\]")


def described(error: BaseException) -> str:
    """Return an error in one line, with file and line of the plug-in that raised it."""
    trace = traceback.extract_tb(error.__traceback__)
    own = [each for each in trace if not LIBRARIES.search(each.filename)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {first_line(error)}{where}"


STARS = "***"
SHORTEST = 3
"""Characters: what is shorter would be found in many a word."""
_forms: set[str] = set()


def hide(secret: str) -> None:
    """Have a secret masked from now on, in all the forms in which it may be written."""
    if len(secret) < SHORTEST:
        return
    written = {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
    }
    # as a header and libpq write it, and what pages and JSON make of either
    written |= {each.replace("%20", "+") for each in written} | {quote(secret, safe=" +")}
    written |= {html.escape(each) for each in written}
    written |= {json.dumps(each)[1:-1] for each in written}
    written |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in written}
    _forms.update(written)


def masked(text: str) -> str:
    """Return a text in which stars stand for each secret that is known.

    Parameters
    ----------
    text : what somebody else's code says, e.g. of an error.
    """
    # the longest first: a form may be a part of another
    for form in sorted(_forms, key=len, reverse=True):
        if form in text:
            text = text.replace(form, STARS)
    return text

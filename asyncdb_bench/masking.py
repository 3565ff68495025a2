"""Secrets that this process knows, and texts without them."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

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

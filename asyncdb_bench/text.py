"""Numbers, lists and texts as people and formats read them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "asyncdb-bench" if Path(__file__).with_name("_builtin").is_dir() else "bench.py"
"""What the command line is called by: by its name where it is installed, else in the checkout."""


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with so many significant digits, whole from 100 on; a dash for none."""
    if value is None or math.isnan(value):
        return "–"
    # what is rounded to 100 is whole, too
    if math.isfinite(value) and abs(float(f"{value:.{digits}g}")) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def warranted(value: float, low: float | None, high: float | None) -> str:
    """Return a figure with no more digits than its interval warrants, and three at most.

    Parameters
    ----------
    value, low, high : in one unit; without both bounds it is :func:`number`.

    Returns
    -------
    Rounded to the place of the interval's half-width's first digit, one place finer where that
    digit is a 1 or a 2: the rule of the Particle Data Group (*Review of Particle Physics*,
    Introduction, 5.3), coarsened.
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return number(value)
    half = max(high - value, value - low)
    if half <= 0 or value == 0 or not math.isfinite(half):
        return number(value)
    place = math.floor(math.log10(half))
    if half / 10.0**place < 3:
        place -= 1
    finest = math.floor(math.log10(abs(value))) - 2
    place = min(max(place, finest), math.floor(math.log10(abs(value))))
    rounded = round(value, -place)
    return f"{rounded:,.{max(0, -place)}f}"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def counted(count: int, word: str, plural: str = "") -> str:
    """Return ``1 block``, ``2 blocks``; `plural` where it is not the word and an s."""
    return f"{count:,} {word if count == 1 else plural or word + 's'}"


NOTHING_TOLD = 100.0
"""A ratio's bound beyond which it only says that too few rounds were had."""


def ratio(value: float) -> str:
    """Return a ratio as text: two decimals, and what is warranted from 10 on."""
    return f"{value:.2f}" if value < 10 else number(value)


def ratio_bounds(low: float, high: float) -> tuple[str, str]:
    """Return the bounds of a ratio as text; with three decimals where two would hide a 1 outside.

    What is beyond :data:`NOTHING_TOLD` or its inverse tells nothing but that, and is not spelt out.

    Parameters
    ----------
    low, high : of the interval.
    """
    texts = (
        ratio(low) if low > 1 / NOTHING_TOLD else f"<{1 / NOTHING_TOLD:g}",
        ratio(high) if high < NOTHING_TOLD else f">{NOTHING_TOLD:g}",
    )
    if "1.00" in texts and not low <= 1 <= high:
        return f"{low:.3f}", f"{high:.3f}"
    return texts


def xml_text(text: str) -> str:
    """Return a text without what XML 1.0 cannot carry."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)


def visible(text: str) -> str:
    """Return a text without control characters, and without those that turn what follows around.

    The overrides and isolates of the Unicode Bidirectional Algorithm (UAX 9, 2) in a name would
    reverse the sentence around it; right-to-left letters by themselves do not.
    """
    odd = "[\u202a-\u202e\u2066-\u2069\x7f-\x9f]"
    return re.sub(odd, "\N{REPLACEMENT CHARACTER}", xml_text(text))


def markdown_cell(text: str) -> str:
    """Return a text as a cell of a Markdown table: one line, no HTML, no cell of its own."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def percent(value: float | None) -> str:
    """Return a share as a percentage with as many digits as it deserves."""
    if value is None:
        return "–"
    text = f"{100 * value:.1f}".removesuffix(".0") if abs(value) < 0.1 else f"{100 * value:,.0f}"
    return f"{text} %"


def signed(value: float | None) -> str:
    """Return a change as a percentage with its sign."""
    return f"+{percent(value)}" if value is not None and value > 0 else percent(value)


def probability(value: float | None) -> str:
    """Return a p-value as people write it."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

"""Numbers as people read them, and tables of them: pure functions to text and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y", "R", "Q")


def si(value: float, unit: str = "") -> str:
    """Three digits and a prefix.

    >>> si(65_971_748_339_712), si(999_999, "B"), si(12), si(0)
    ('66.0 T', '1.00 MB', '12', '0')
    """
    index = 0
    scaled = float(value)
    while scaled >= 999.5 and index + 1 < len(_PREFIXES):
        scaled, index = scaled / 1000, index + 1
    digits = max(0, 3 - len(f"{scaled:.0f}")) if index else 0
    return f"{scaled:.{digits}f} {_PREFIXES[index]}{unit}".strip()


def percent(share: float) -> str:
    """
    >>> percent(0.2749), percent(-0.00001)
    ('27.5 %', '0.0 %')
    """
    return f"{round(100 * share, 1) or 0.0:.1f} %"


def dollars(amount: float) -> str:
    """Cents, and more digits where there are no cents.

    >>> dollars(17.166), dollars(0.3), dollars(0.00123), dollars(0)
    ('$17.17', '$0.30', '$0.00123', '$0.00')
    """
    return f"${amount:,.2f}" if amount >= 0.1 or not amount else f"${amount:.3g}"


def milliseconds(seconds: float) -> str:
    """Whole ones from ten on.

    >>> milliseconds(0.1234), milliseconds(0.00123)
    ('123 ms', '1.2 ms')
    """
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"


def counted(count: int, what: str) -> str:
    """
    >>> counted(1, "use"), counted(2000, "use")
    ('1 use', '2,000 uses')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def table_html(caption: str, head: Iterable[str], rows: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """A table of numbers: plain text in every cell, which is escaped.

    Args:
        caption: what the table is about.
        head: the heads of all columns, "" for the first if it needs none.
        rows: of each row a name for programs (`data-name`), a label for people, and its cells.

    >>> table_html("A & B", ["", "raw"], [("x", "x²", ["1 k"])])[:66]
    '<table class="figures"><caption>A &amp; B</caption><thead><tr><td>'
    """
    top = "".join(f'<th scope="col">{escape(cell)}</th>' if cell else "<td></td>" for cell in head)
    body = "".join(
        f'<tr data-name="{escape(name)}"><th scope="row">{escape(label)}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, label, cells in rows
    )
    return (
        f'<table class="figures"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )

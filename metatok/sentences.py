"""What libraries say of an error, as a sentence for a person."""

from __future__ import annotations

import re


def sentence(message: str) -> str:
    """A library's message as a sentence: capital letter, full stop. What begins with a name keeps it as it is.

    >>> sentence("the text has a lone surrogate")
    'The text has a lone surrogate.'
    >>> sentence("task_weights must not be negative"), sentence("some/reader is no folder here.")
    ('task_weights must not be negative.', 'some/reader is no folder here.')
    """
    message = message.strip()
    if re.match(r"[a-z]+[ ,:]", message):
        message = message[0].upper() + message[1:]
    return message.rstrip(".") + "."

"""Texts of strangers in one short line, for pages, logs and messages: what steers or turns them is left out.

At the terminal `avatar.core.printable` shows it instead: there, they are names of files that somebody wants to find.
"""

from __future__ import annotations

LONGEST = 300


def plain_text(text: object, longest: int = LONGEST) -> str:
    """One line of what can be printed. Letters of any script stay; escape sequences, line ends and the like do not.

    >>> plain_text("Ada\\x1b[2J\\nAnna")
    'Ada[2J Anna'
    """
    letters = (letter for letter in str(text)[: 4 * longest] if letter.isprintable() or letter.isspace())
    return " ".join("".join(letters).split())[:longest].rstrip()

"""Text of others, made fit for a terminal: names of files and cameras, an avatar's words, what a library says.

A terminal obeys control characters, wherever they come from: they move the cursor, rewrite lines, set its title, and
some make it type. Marks of direction make a line read as another one. Here each is shown as Python would write it.
"""

from __future__ import annotations

import re

# C0 but for the tab, DEL, C1; marks of direction, line and paragraph separators; halves of a pair, which are what bytes
# that are no UTF-8 become in a file's name
_COMMANDS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTINUED = "  "


def printable(text: str) -> str:
    """One line of text: "a\\x1b[2J" shows its escape character, and a line break is shown, not obeyed."""
    return _COMMANDS.sub(_shown, text)


def printable_lines(text: str) -> str:
    """The same with its line breaks kept."""
    return "\n".join(map(printable, text.split("\n")))


def continued(text: str) -> str:
    """A message with its line breaks kept and what follows indented: no part of it passes for another message."""
    first, *others = map(printable, text.split("\n"))
    return "\n".join([first, *(line if line.startswith(" ") or not line else _CONTINUED + line for line in others)])


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name: PEP 383
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

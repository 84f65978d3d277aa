"""The file of the user's own defaults: a table for each command, of options by their names. What is typed goes first.

[live]
camera = "c920"
to = ["virtual-camera"]
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from avatar.core.errors import UsageError
from avatar.core.paths import config_file

_MAX_BYTES = 256 << 10
# statements about people, their agreements, and what deletes or replaces: these are meant each time that they are typed
SAID_EACH_TIME = {
    "shows", "agreed_by", "agreed_on", "consent", "liveness", "same_person", "unlock", "no_label", "force",
    "everything", "yes", "remember",
}  # fmt: skip


def read_config() -> dict[str, Any]:
    """Empty where there is no file. Raises UsageError, naming it, for one that cannot be read."""
    path = config_file()
    try:
        if path.exists() and not path.is_file() and path != Path(os.devnull):  # a pipe would be waited for
            raise UsageError(f"{path} is no file. Name one by VISAVIS_CONFIG, or {os.devnull} for none.")
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise UsageError(f"{path} is too large to be a file of options. Look into it, or delete it.")
        return tomllib.loads(text.decode())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:  # of TOML and of UTF-8
        raise UsageError(f"{path} is no valid TOML ({error}). Mend it, or delete it.") from error


def defaults(table: object, command: Any, where: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """What the parser of `command` takes for its defaults. `tell` gets a sentence for each key that it does not have.

    where: the table's name. A group of commands has a table in this one for each.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{config_file()}: {where} is no table. Write [{where}], and its options below.")
    found: dict[str, Any] = {}
    within = getattr(command, "commands", {})
    known = {key: parameter.name for parameter in command.params for key in keys(parameter)}
    for key, value in table.items():
        if key in within and isinstance(value, dict):
            found[key] = defaults(value, within[key], f"{where}.{key}", tell)
        elif key in known and known[key] not in SAID_EACH_TIME:
            found[known[key]] = value
        elif key in known:
            tell(f"{config_file()}: {key} in [{where}] counts only where it is typed. It is passed over.")
        else:
            tell(f"{config_file()}: [{where}] has no {key}. It is passed over.")
    return found


def keys(parameter: Any) -> Iterator[str]:
    """By which one option or argument goes in the file."""
    yield parameter.name
    yield from (option[2:] for option in parameter.opts if option.startswith("--"))

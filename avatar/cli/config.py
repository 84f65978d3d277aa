"""`visavis config`."""

from __future__ import annotations

from collections.abc import Iterator
from json import JSONEncoder
from typing import Annotated, Any

import typer

HEAD = """\
# Your own defaults for visavis: a table for each command, its options below. Take the # away from what you want to
# change. What is typed goes first. Statements about a person, and what replaces or deletes, count only where typed.
"""
LEFT_OUT = {"avatars", "engines", "config", "install-desktop", "doctor", "forget"}  # nobody has habits there


def config(
    write: Annotated[bool, typer.Option("--write", help="Write the file, where there is none.")] = False,
) -> None:
    """Print the file of your own defaults, with all options that may be in it; what you have set is without a #.

    It is ~/.config/visavis/config.toml, or what VISAVIS_CONFIG names; nothing is written without --write.

    Example: visavis config --write
    """
    from avatar.cli.config_file import read_config
    from avatar.cli.terminal import Terminal
    from avatar.core.errors import UsageError, VisavisError
    from avatar.core.paths import config_file
    from avatar.core.private_file import write_private

    path, text = config_file(), "\n".join(_lines(read_config()))
    if not write:
        Terminal(stderr=True).say(f"{path}{'' if path.exists() else ': not written yet, visavis config --write does'}")
        Terminal().say(*text.splitlines())
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(f"{text}\n".encode(), path, None)
    except FileExistsError:
        raise UsageError(f"{path} is there already, and stays as it is. Change it, or delete it.") from None
    except OSError as error:
        raise VisavisError(f"{path} cannot be written ({error.strerror}). Check its folder.") from error
    Terminal().say(f"Wrote {path}")


def _lines(given: dict[str, Any]) -> Iterator[str]:
    from typer.main import get_command

    from avatar.cli.commands import COMMANDS, USE, command_app

    yield from HEAD.splitlines()
    for name, (panel, summary) in COMMANDS.items():
        if panel == USE and name not in LEFT_OUT:
            yield from _table(name, summary, get_command(command_app(name)), given.get(name))


def _table(name: str, summary: str, command: Any, given: Any) -> Iterator[str]:
    from avatar.cli.config_file import SAID_EACH_TIME

    yield from ("", f"[{name}]  # {summary}")
    for option in command.params:
        if option.param_type_name != "option" or option.required or option.name in SAID_EACH_TIME | {"help"}:
            continue
        key = next(name[2:] for name in option.opts if name.startswith("--"))
        about = " ".join((option.help or "").split())
        value = given.get(key, given.get(option.name)) if isinstance(given, dict) else None
        sign = "# " if value is None else ""
        yield f"{sign}{key} = {_toml(option.default if value is None else value, option)}  # {about}"


def _toml(value: Any, option: Any) -> str:
    if value is None and option.multiple:
        return "[]"
    if value is None:  # to be filled in
        return '""'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(part, option) for part in value)}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return JSONEncoder(ensure_ascii=False).encode(str(value))  # TOML's basic strings are JSON's

"""`visavis avatars`, `visavis avatars list` and `visavis avatars delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from avatar.cli.command_app import CommandApp

avatars = CommandApp(
    help="The enrolled avatars: whom each shows, by what was said at enrolment, and how to delete one.\n\n"
    "Examples: visavis avatars list --json\n\nvisavis avatars delete ada",
    no_args_is_help=True,
)


@avatars.command("list")
def show(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """Name, whom it shows, portraits, day; the faces that come with visavis are "ready". One that cannot be read is
    listed with the reason.

    Example: visavis avatars list
    """
    from rich.table import Table

    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import VisavisError
    from avatar.identity.bundle import all_names, find_avatar, load_avatar
    from avatar.identity.consent import consent_words
    from avatar.identity.ready_faces import READY

    rows: list[dict[str, object]] = []
    for name in all_names():
        path = find_avatar(name)
        try:
            avatar = load_avatar(path, None)
        except VisavisError as error:
            rows.append({"name": name, "problem": str(error)})
            continue
        about = {"portraits": len(avatar.portraits), "fine_tuned": avatar.fine_tuned, "consent": avatar.consent}
        about["ready"] = path.parent == READY
        day = str(avatar.provenance.get("at", ""))[:10]
        rows.append({"name": name, "shows": consent_words(avatar.consent), "made_on": day, **about})
    if as_json:
        print_json(rows)
        return
    out = Terminal()
    table = Table("avatar", "shows", "portraits", "made on", box=None, pad_edge=False)
    for row in rows:
        made_on = "ready" if row.get("ready") else row.get("made_on", "")
        cells = (row.get("problem") or row["shows"], row.get("portraits", ""), made_on)
        table.add_row(str(row["name"]), *(str(cell) for cell in cells))
    out.print(table)


@avatars.command()
def delete(
    name: Annotated[str, typer.Argument(help="The avatar's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was deleted as JSON.")] = False,
) -> None:
    """Delete an avatar, with what a killed program left of it, and say what that does not reach.

    Example: visavis avatars delete ada
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import InputError
    from avatar.identity.bundle import avatar_names
    from avatar.identity.removal import OUT_OF_REACH, delete_avatar

    deleted = delete_avatar(name)
    if not deleted:
        known = ", ".join(avatar_names())
        raise InputError(f"There is no avatar {name!r}. " + (f"There are: {known}." if known else "None is enrolled."))
    if as_json:
        print_json({"deleted": deleted, "not_reached": OUT_OF_REACH})
        return
    Terminal().say(*(f"Deleted {path}" for path in deleted), OUT_OF_REACH)

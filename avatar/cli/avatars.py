"""`visavis avatars` and what it does with one: list, rename, delete, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.command_app import CommandApp
from avatar.cli.options import OwnAvatarName

if TYPE_CHECKING:
    from avatar.live.bundle_report import BundleReport

avatars = CommandApp(
    help="List the enrolled avatars, whom each shows by what was said at enrolment; rename, delete, export, import.\n\n"
    "Examples: visavis avatars\n\nvisavis avatars rename ada 'Ada Lovelace'\n\nvisavis avatars export ada ada.avatar",
    invoke_without_command=True,
)


@avatars.callback()
def alone(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Without a command, they are listed."""
    if context.invoked_subcommand is None:
        show(as_json=as_json)


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
    from avatar.identity.ready_faces import READY, shown_title

    rows: list[dict[str, object]] = []
    for name in all_names():
        path = find_avatar(name)
        try:
            avatar = load_avatar(path, None)
        except VisavisError as error:
            rows.append({"name": name, "problem": str(error)})
            continue
        about = {"portraits": len(avatar.portraits), "fine_tuned": avatar.fine_tuned, "consent": avatar.consent}
        about |= {"ready": path.parent == READY, "title": shown_title(name, path)}
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
        table.add_row(str(row.get("title", row["name"])), *(str(cell) for cell in cells))
    out.print(table)
    if all(row.get("ready") for row in rows):
        out.say("", "None is your own. Make one: visavis enroll PHOTO… --name NAME")


@avatars.command()
def rename(
    name: OwnAvatarName,
    new: Annotated[str, typer.Argument(help="Its new one: anna, 'Anna Smith', 张三.")],
) -> None:
    """Give an avatar another name.

    Example: visavis avatars rename ada 'Ada Lovelace'
    """
    from avatar.cli.terminal import Terminal
    from avatar.identity.bundle import shown_name
    from avatar.live.avatar_file import rename_avatar

    path = rename_avatar(_named(name), new)
    Terminal().say(f"{name} is {shown_name(path)} now: {path}")


@avatars.command("export")
def export_file(
    name: OwnAvatarName,
    file: Annotated[Path, typer.Argument(help="The file to write, NAME.avatar.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the file if it is there.")] = False,
    sign_with: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Sign it with this key and its certificates.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the file says of itself as JSON.")] = False,
) -> None:
    """Write an avatar to a file, for another computer or person. Whoever has it can move it.

    Example: visavis avatars export ada ada.avatar
    """
    from avatar.live.avatar_file import export_avatar
    from avatar.live.signing import check_key

    if sign_with is not None:
        check_key(sign_with)
    _tell(file, export_avatar(_named(name), file, force, sign_with), as_json)


@avatars.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="An .avatar file.")],
    name: Annotated[str | None, typer.Option(help="Another name than its own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the file says of itself as JSON.")] = False,
) -> None:
    """Take an avatar from a file, after checking all of it, and say whom it shows. None that is there is replaced.

    Example: visavis avatars import ada.avatar
    """
    from avatar.live.avatar_file import import_avatar

    _tell(*import_avatar(file, name), as_json)


def _named(name: str) -> Path:
    """Raises UsageError for what is no name, InputError where there is none of it."""
    from avatar.core.errors import InputError
    from avatar.identity.bundle import all_names, named_avatar

    path = named_avatar(name)
    if path is None:
        raise InputError(f"There is no avatar {name!r}. There are: {', '.join(all_names())}.")
    return path


def _tell(path: Path, report: BundleReport, as_json: bool) -> None:
    from avatar.cli.terminal import Terminal, print_json

    if as_json:
        print_json({"file": path, **report.as_json()})
        return
    for note in report.notes:
        Terminal(stderr=True).note(f"Note: {note}")
    out = Terminal()
    out.say(f"Wrote {path}", *report.in_words())
    if report.statement:
        out.say(f"What was said of the person shown: {report.statement}")


@avatars.command()
def delete(
    name: OwnAvatarName,
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

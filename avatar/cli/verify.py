"""`visavis verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from avatar.cli.terminal import Terminal
    from avatar.trust.provenance import Provenance
    from avatar.trust.verification import Verdict

MARKED, NOT_MARKED = 0, 3  # exit codes


def verify(
    source: Annotated[
        str,
        typer.Argument(
            help="A video or photo, a recording of a whole screen, a camera's number, name or path, or its address."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Say whether pictures carry the invisible mark of visavis, of which avatar and day.

    Of a video, five seconds are enough, at any size, compressed, cropped or mirrored; of a single picture, it is found
    unless that was compressed hard. No mark proves nothing: other programs make other pictures, and a mark can be
    removed. Nothing leaves this computer.

    Exit codes: 0 marked, 3 not marked, 2 it cannot be read.

    Example: visavis verify recording.mp4

    Then, for a script: visavis verify recording.mp4 --json
    """
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import DeviceError, InputError, UsageError
    from avatar.trust.verification import NOT_A_PROOF

    terminal = Terminal(stderr=True)
    try:
        verdict = _verdict(source, terminal)
    except (InputError, DeviceError) as error:
        raise UsageError(str(error)) from error
    if verdict.damage:
        terminal.note(f"Note: {verdict.damage}")
    c2pa = _c2pa(source, terminal)
    mark = verdict.mark
    own = None if mark is None else _own_avatar(mark.bundle)
    if as_json:
        told = asdict(verdict)
        told["mark"] = None if mark is None else {**asdict(mark), "day": mark.day.isoformat(), "avatar": own}
        print_json({"source": source, "marked": mark is not None, **told, "c2pa": c2pa and c2pa.as_json()})
    elif mark is None:
        Terminal().say(f"{NOT_A_PROOF} Looked at: {_looked_at(verdict)}.")
    else:
        whose = f"your avatar {own}" if own else f"the avatar {mark.bundle}, which is not among those of this computer"
        mirrored = ", mirrored" if mark.mirrored else ""
        Terminal().say(
            f"Marked by visavis: it shows {whose}, made on {mark.day.isoformat()}.",
            f"Read with a strength of {mark.strength} in {_looked_at(verdict)}, {mark.shown_px} px across{mirrored}. "
            "That an unmarked picture gives this by chance: below 1 in a million.",
        )
    if c2pa is not None and not as_json:
        Terminal().say(c2pa.in_words())
    raise typer.Exit(MARKED if mark is not None else NOT_MARKED)


def _verdict(source: str, terminal: Terminal) -> Verdict:
    """Raises InputError or DeviceError for what cannot be read."""
    from avatar.core.errors import InputError
    from avatar.sandbox.no_network import refuse_network
    from avatar.sources.camera import open_camera
    from avatar.sources.local_cameras import find_webcam
    from avatar.sources.network_camera import is_address
    from avatar.trust.verification import verify_camera, verify_file

    if not is_address(source):
        refuse_network()
        if find_webcam(source) is None:
            if not Path(source).exists():
                raise InputError(f"{source}: there is no such file or camera. `visavis cameras` lists the cameras.")
            with terminal.status(f"reading {source}") as status:
                return verify_file(Path(source), lambda share: status.update(f"reading {source}: {share:.0%}"))
    camera = open_camera(source, real_time=False, say=terminal.note)
    try:
        with terminal.status(f"watching {camera.name}"):
            return verify_camera(camera)
    finally:
        camera.close()


def _c2pa(source: str, terminal: Terminal) -> Provenance | None:
    """What signed metadata a file has. What is damaged is said."""
    from avatar.core.errors import InputError
    from avatar.live.signing import can_sign

    if not can_sign() or not Path(source).is_file():
        return None
    from avatar.trust.provenance import read_provenance

    try:
        return read_provenance(Path(source))
    except InputError as error:
        terminal.note(f"Note: {error}")
        return None


def _looked_at(verdict: Verdict) -> str:
    if verdict.pictures == 1:
        return "1 picture"
    return f"{verdict.pictures} pictures of {verdict.seconds:.1f} seconds"


def _own_avatar(bundle: str) -> str | None:
    """The name of the avatar of this computer that the mark names."""
    from avatar.core.errors import InputError
    from avatar.identity.bundle import avatar_names, avatar_path, load_avatar
    from avatar.trust.mark_message import bundle_id

    for name in avatar_names():
        try:
            if bundle_id(load_avatar(avatar_path(name), model_id=None)) == bundle:
                return name
        except InputError:  # damaged, or of another visavis
            continue
    return None

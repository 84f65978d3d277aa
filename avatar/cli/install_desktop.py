"""`visavis install-desktop`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

UNIT = "visavis.service"
SYSTEMCTL_S = 30.0
DESKTOP_ENTRY = """\
[Desktop Entry]
Type=Application
Name=visavis
Comment=A talking head from a few photos, as the camera of any video call
Icon=visavis
Exec={program} open
Terminal=false
Categories=Network;VideoConference;
Keywords=avatar;webcam;camera;call;
Actions=stop;

[Desktop Action stop]
Name=Stop
Exec={program} open --stop
"""
SERVICE = """\
[Unit]
Description=visavis: its page, on this computer alone

[Service]
ExecStart={program} open --no-open
StandardOutput=null
StandardError=journal
Restart=on-failure

[Install]
WantedBy=default.target
"""


def install_desktop(
    autostart: Annotated[
        bool, typer.Option("--autostart", help="Serve the page from log-in on, by a unit of systemd for this user.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take all of it away again.")] = False,
) -> None:
    """Put visavis among the programs of this user's desktop (Linux). It needs no rights, and changes nothing else.

    Its icon opens the page; "Stop" in the icon's menu ends it.

    Example: visavis install-desktop --autostart

    Example: visavis install-desktop --remove
    """
    from platformdirs.unix import Unix

    from avatar.cli.terminal import Terminal
    from avatar.core.errors import UsageError

    if not sys.platform.startswith("linux"):
        raise UsageError("Only desktops of Linux are known. Make a shortcut to `visavis open`.")
    folders, out, note = Unix(), Terminal(), Terminal(stderr=True).note
    entry = folders.user_data_path / "applications" / "visavis.desktop"
    icon = folders.user_data_path / "icons/hicolor/scalable/apps/visavis.svg"
    unit = folders.user_config_path / "systemd/user" / UNIT
    if remove:
        if unit.exists():
            _systemctl("disable", "--now", UNIT, note=note)
        there = [path for path in (entry, icon, unit) if path.exists()]
        for path in there:
            path.unlink()
        out.say(*(f"Removed {path}" for path in there), *([] if there else ["There was nothing to remove."]))
        return
    drawing = Path(__file__).parents[1] / "dashboard/page/icon.svg"
    program = _program()
    files = {icon: drawing.read_text("utf-8"), entry: DESKTOP_ENTRY.format(program=_quoted(program, entry=True))}
    if autostart:
        files[unit] = SERVICE.format(program=_quoted(program, entry=False))
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        out.say(f"Wrote {path}")
    if autostart:
        _systemctl("enable", "--now", UNIT, note=note)
    out.say("visavis is among your programs now. `visavis install-desktop --remove` takes it away again.")


def _program() -> list[str]:
    """What starts this visavis, whatever the desktop's PATH is."""
    here = Path(sys.argv[0])
    if here.stem == "visavis" and here.is_file():
        return [str(here.absolute())]
    beside = shutil.which("visavis", path=str(Path(sys.executable).parent))
    return [beside] if beside else [sys.executable, "-m", "avatar.cli.main"]


def _quoted(words: list[str], *, entry: bool) -> str:
    """For the key Exec of a desktop entry, 1.5, or for ExecStart of systemd.service(5)."""
    quoted = []
    for word in words:
        text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        text = text.replace("`", "\\`").replace("$", "\\$") if entry else text.replace("$", "$$")
        quoted.append(f'"{text}"')
    line = " ".join(quoted)
    return line.replace("\\", "\\\\") if entry else line  # a value is a string with escapes of its own


def _systemctl(*words: str, note: Callable[[str], None]) -> None:
    command = ["systemctl", "--user", *words]
    try:
        for part in (["systemctl", "--user", "daemon-reload"], command):
            subprocess.run(part, check=True, capture_output=True, timeout=SYSTEMCTL_S, env=os.environ)
    except (OSError, subprocess.SubprocessError):
        note(f"systemd does not answer here. When it does: {' '.join(command)}")

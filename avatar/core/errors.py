"""Errors meant for the person who reads them: what happened, to which file or device, and what to do next."""

from __future__ import annotations

from pathlib import Path


class VisavisError(Exception):
    """Something failed that the user can act on. The CLI prints the message, without a traceback, and exits with 1.

    what: what happened, and what to do where that is the same everywhere. command_line: what to do next in a terminal.
    page: what to do next on the call's page. Each is a sentence or more. `on_page`: the message for the page.
    """

    exit_code = 1

    def __init__(self, what: str, command_line: str = "", page: str = "") -> None:
        super().__init__(_followed(what, command_line))
        self.on_page = _followed(what, page)


class UsageError(VisavisError):
    """The command was given something that it cannot take. The CLI exits with 2."""

    exit_code = 2


class InputError(VisavisError):
    """A photo, video, clip or bundle is missing, damaged or unfit. The message names the file."""


class PhotoError(InputError):
    """A picture file cannot be read. fault: what follows its name; on the page, which sent it, it goes without one."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path} {fault}")
        self.fault, self.on_page = fault, f"It {fault}"


class DeviceError(VisavisError):
    """A camera or virtual camera is missing, busy or gone. The message names the device and says what to do."""


class TrackerDownError(VisavisError):
    """The face tracker's process ended at a picture, every time that it was tried."""


class OutputError(VisavisError):
    """stdout takes no more of what was asked for: it is closed, or its disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The output could not be written: {error.strerror or error}. What had been done is done.")
        self.unread = isinstance(error, BrokenPipeError)  # as by `| head`, which is no fault


def _followed(what: str, next_step: str) -> str:
    gap = "" if not next_step or what.endswith("\n") else " "
    return f"{what}{gap}{next_step}"

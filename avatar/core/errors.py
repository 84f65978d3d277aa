"""Errors meant for the person at the terminal: what happened, to which file or device, and what to do next."""


class VisavisError(Exception):
    """Something failed that the user can act on. The CLI prints the message, without a traceback, and exits with 1."""

    exit_code = 1


class UsageError(VisavisError):
    """The command was given something that it cannot take. The CLI exits with 2."""

    exit_code = 2


class InputError(VisavisError):
    """A photo, video, clip or bundle is missing, damaged or unfit. The message names the file."""


class DeviceError(VisavisError):
    """A camera or virtual camera is missing, busy or gone. The message names the device and says what to do."""


class TrackerDownError(VisavisError):
    """The face tracker's process ended at a picture, every time that it was tried."""


class OutputError(VisavisError):
    """stdout takes no more of what was asked for: it is closed, or its disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The output could not be written: {error.strerror or error}. What had been done is done.")
        self.unread = isinstance(error, BrokenPipeError)  # as by `| head`, which is no fault

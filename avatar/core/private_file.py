"""Files about a person: readable by their owner alone, and never half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from avatar.core.errors import VisavisError
from avatar.core.file_name import Expected, give_name


def write_private(data: bytes, path: Path, expected: Expected = "any") -> None:
    """Write beside and rename: an older file stays whole until the new one is on the disk.

    Raises FileExistsError where something other than `expected` is under the name by then, and OSError.
    """
    descriptor, part = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".part", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        give_name(Path(part), path, expected)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def delete_private(path: Path) -> None:
    """Raises VisavisError where it stays."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise VisavisError(f"{path} cannot be deleted ({error.strerror}). Delete it yourself.") from error


class UnfitError(Exception):
    """Why a file about a person cannot be used; becomes an InputError that names it.

    mend: what to do, where that is not what is done about any damaged file of its kind.
    """

    def __init__(self, why: str, mend: str = "") -> None:
        super().__init__(why)
        self.mend = mend


def read_bounded(path: Path, limit: int, kind: str, make: str) -> bytes:
    """The whole file, read once, so that what was checked is what is used. Raises UnfitError.

    limit: bytes. kind: what it may not be larger than, e.g. "avatar". make: the command that makes one.
    """
    try:
        if not path.is_file():
            raise UnfitError("there is no such file", f"`{make}` makes one")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size) if size <= limit else b""
    except OSError as error:
        raise UnfitError(f"it cannot be read ({error.strerror})", "Check its permissions") from None
    if size > limit:
        raise UnfitError(f"it is larger than any {kind} ({limit >> 20} MiB)", f"`{make}` makes one")
    return data

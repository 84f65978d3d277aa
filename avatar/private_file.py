"""Files about a person: readable by their owner alone, and never half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(data: bytes, path: Path) -> None:
    """Write beside and rename: an older file stays whole until the new one is on the disk. Raises OSError."""
    descriptor, part = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".part", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise

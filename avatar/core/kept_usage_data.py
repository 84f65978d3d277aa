"""What ONNX Runtime kept for its vendor while earlier versions of visavis ran: a device's id, and a queue of events."""

from __future__ import annotations

import os
from pathlib import Path

from avatar.core.paths import cache

_FOLDERS = ("Microsoft", "DeveloperTools", ".onnxruntime")  # one in the other, below ~/.cache
_FILES = ("onnxruntime.db*", "deviceid*")
_DONE = "onnxruntime-usage-data-removed"  # other programs may use the library too: what they keep is theirs


def remove_kept_usage_data() -> Path | None:
    """Remove it, once for each user. Returns the folder that it was in; None where there was nothing to do."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for name in _FOLDERS:
        folder /= name
        if folder.is_symlink() or not folder.is_dir():
            return None
    done = cache() / _DONE
    if done.exists():
        return None
    try:
        for pattern in _FILES:
            for file in folder.glob(pattern):
                file.unlink()
        done.touch()
        for emptied in (folder, *list(folder.parents)[: len(_FOLDERS) - 1]):
            emptied.rmdir()
    except OSError:  # not ours to change, or something else lies there
        pass
    return folder if done.exists() else None

"""What the engines keep in their folder, and removing it. All of it can be made again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

KINDS = {
    "choice.json": "which engine is the fastest",
    "*.engine": "a TensorRT engine",
    "*.kernels": "what TensorRT compiled for this GPU",
    "*.lock": "a lock",
    "*.part": "left by a process that was stopped",
}
FOLDERS = {"openvino": "what OpenVINO compiled", "onnxruntime": "what ONNX Runtime compiled"}


@dataclass(frozen=True, slots=True)
class KeptFile:
    path: Path
    size_bytes: int
    what: str


def kept_files(folder: Path) -> list[KeptFile]:
    """The engines' own files in `folder`; anything else there is somebody else's. Links are not followed."""
    found = [KeptFile(path, size, what) for path, size in _plain_files(folder) if (what := _kind(path.name))]
    for name, what in FOLDERS.items():
        if not (folder / name).is_symlink():
            found += [KeptFile(path, size, what) for path, size in _plain_files(folder / name)]
    return found


def remove_kept(folder: Path) -> list[KeptFile]:
    """Remove them, and the folders that are empty then. Raises OSError at the first that cannot be removed."""
    files = kept_files(folder)
    for file in files:
        file.path.unlink(missing_ok=True)
    for name in FOLDERS:
        below = folder / name
        if below.is_dir() and not below.is_symlink() and not any(below.iterdir()):
            below.rmdir()
    return files


def _kind(name: str) -> str:
    return next((what for pattern, what in KINDS.items() if fnmatch(name, pattern)), "")


def _plain_files(folder: Path) -> list[tuple[Path, int]]:
    try:
        with os.scandir(folder) as entries:
            plain = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
            return sorted((Path(entry.path), entry.stat(follow_symlinks=False).st_size) for entry in plain)
    except (FileNotFoundError, NotADirectoryError):
        return []

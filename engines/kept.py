"""What the engines keep in their folder, and removing it. All of it can be made again."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# Names in full, so that a file which somebody else put here is not mistaken for one of these.
KINDS = {
    r"choice\.json": "which engine is the fastest",
    r"sm\d+-[0-9a-f]{64}\.engine": "a TensorRT engine",
    r"sm\d+-[0-9a-f]{64}\.[0-9a-f]{8}\.kernels": "what TensorRT compiled for this GPU",
    r"sm\d+-[0-9a-f]{64}\.timing": "what TensorRT timed on this GPU",
    r"(choice|sm\d+-[0-9a-f]{64})\.lock": "a lock",
    r"(choice\.json|sm\d+-[0-9a-f]{64}(\.[0-9a-f]{8})?\.(engine|kernels|timing))\.part": "left by a stopped process",
}
FOLDERS = {
    "openvino": {r".+\.(blob|cl_cache)": "what OpenVINO compiled"},
    "onnxruntime": {r".+\.(engine|profile|timing)": "what ONNX Runtime compiled"},
}


@dataclass(frozen=True, slots=True)
class KeptFile:
    path: Path
    size_bytes: int
    what: str


def kept_files(folder: Path) -> list[KeptFile]:
    """The engines' own files in `folder`; anything else there is somebody else's. Links are not followed."""
    if folder.is_symlink():
        return []
    found = _of_kinds(folder, KINDS)
    for name, kinds in FOLDERS.items():
        if not (folder / name).is_symlink():
            found += _of_kinds(folder / name, kinds)
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


def _of_kinds(folder: Path, kinds: dict[str, str]) -> list[KeptFile]:
    try:
        with os.scandir(folder) as entries:
            plain = sorted((entry for entry in entries if entry.is_file(follow_symlinks=False)), key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        KeptFile(Path(entry.path), entry.stat(follow_symlinks=False).st_size, what)
        for entry in plain
        for pattern, what in kinds.items()
        if re.fullmatch(pattern, entry.name)
    ]

"""Photos of strangers, read by a process of their own: the one door for every picture file that is not ours.

Decoders are what forged files attack: 38 bytes of WebP take a gigabyte, damaged AVIF and JPEG 2000 raise what no
decoder documents, and a bug in a library's C ends the program. Behind the door that costs one process (0.2 s to start),
which has bounded memory and time, no network, and nobody's camera.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from avatar.core.closing import Closing
from avatar.core.errors import PhotoError, VisavisError
from avatar.sandbox.child_process import OWN_GROUP, cage_environment, end_in_words
from avatar.sources.every_picture import MAX_SIDE_PX
from avatar.sources.photo_wire import LIMIT_S, MAX_TEXT_BYTES, REPLY, REQUEST, STARTED

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif", ".jp2",
            ".heic", ".heif")  # fmt: skip


def load_photo(path: Path) -> NDArray[np.uint8]:
    """An upright (H, W, 3), uint8 RGB picture of one photo. For several: `PhotoReader.load`, which tells more.

    Raises PhotoError, with the file and what to do, for anything that is not a whole picture.
    """
    with PhotoReader() as reader:
        return reader.load(path)


class PhotoReader(Closing):
    """Reads one photo after another. Use it in a `with` statement, from one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def load(self, path: Path) -> NDArray[np.uint8]:
        """Upright (H, W, 3) uint8 sRGB, no side longer than MAX_SIDE_PX.

        EXIF orientation is applied, colours are converted, transparency is laid over grey, 16-bit values are scaled to
        8. Of an animation or a multi-page file the first picture is taken.
        Raises PhotoError, with the file and what to do, for anything that is not a whole picture.
        """
        _require_file(path)
        if self._process is None:
            self._process = _start()
        process = self._process
        watch = threading.Timer(LIMIT_S, process.kill)
        since_s = time.monotonic()
        watch.start()
        try:
            return _ask(process, path)
        except EOFError as error:
            self._process = None
            how = _end(process)
            if time.monotonic() - since_s >= LIMIT_S:
                how = f"had not decoded it after {LIMIT_S:g} s"
            raise PhotoError(
                path,
                f"cannot be decoded: the process that tried {how}. The file is damaged, or was made to do harm. "
                "Export the photo again as JPEG, or use another one.",
            ) from error
        finally:
            watch.cancel()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            _end(self._process)
            self._process = None


def _start() -> subprocess.Popen[bytes]:
    """Raises VisavisError."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "avatar.sources.photo_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VISAVIS_NATIVE_LOG") else subprocess.DEVNULL,
            env=cage_environment(),
            start_new_session=True,
            creationflags=OWN_GROUP,
        )
    except OSError as error:
        raise VisavisError(f"Photos cannot be read: {error}. Close other programs, and try again.") from error
    assert process.stdout is not None
    if process.stdout.read(len(STARTED)) != STARTED:
        how = _end(process)
        raise VisavisError(f"Photos cannot be read: the process for it {how}. Run `visavis doctor`.")
    return process


def _end(process: subprocess.Popen[bytes]) -> str:
    """End it, unless it has ended itself. How it did, in words."""
    try:
        code = process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        try:
            pipe.close()
        except OSError:  # what it did not take any more
            continue
    return end_in_words(code)


def _ask(process: subprocess.Popen[bytes], path: Path) -> NDArray[np.uint8]:
    """Raises PhotoError with what the process says of the file, EOFError when it ends or answers nonsense."""
    assert process.stdin is not None and process.stdout is not None
    name = os.fsencode(path)
    try:
        process.stdin.write(REQUEST.pack(len(name)) + name)
        process.stdin.flush()
    except OSError:
        raise EOFError from None
    height, width, text_bytes = REPLY.unpack(_exactly(process.stdout, REPLY.size))
    if text_bytes:
        text = _exactly(process.stdout, min(text_bytes, MAX_TEXT_BYTES)).decode(errors="replace")
        raise PhotoError(path, "".join(c for c in text if c.isprintable()))
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX):
        process.kill()
        raise EOFError
    return np.frombuffer(_exactly(process.stdout, height * width * 3), np.uint8).reshape(height, width, 3)


def _exactly(pipe: IO[bytes], size: int) -> bytearray:
    data, at = bytearray(size), 0
    while at < size:
        if not (count := pipe.readinto(memoryview(data)[at:])):  # type: ignore[attr-defined]
            raise EOFError
        at += count
    return data


def _require_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise PhotoError(path, "is a folder, not a photo. Name the photos in it.")
        if not path.exists():
            raise PhotoError(path, "does not exist. Check the path of the photo.")
        if not path.is_file():
            raise PhotoError(path, "is not an ordinary file. Name a photo.")
        if path.stat().st_size == 0:
            raise PhotoError(path, "is empty (0 bytes). Copy or download the photo again.")
        with path.open("rb"):
            pass
    except PermissionError:
        raise PhotoError(path, "may not be read by this user. Change its permissions or copy it.") from None
    except (OSError, ValueError) as error:
        raise PhotoError(path, f"cannot be read: {error}. Check the path of the photo.") from error

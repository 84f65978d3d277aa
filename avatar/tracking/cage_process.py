"""One process in which MediaPipe runs, seen from outside: start it, ask it about a picture, end it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.core.errors import VisavisError
from avatar.core.plain_text import plain_text
from avatar.sandbox.child_process import OWN_GROUP, cage_environment, end_in_words
from avatar.sandbox.confinement import Confinement
from avatar.tracking.cage_wire import (
    FAILED,
    FRAME_AT,
    GOES_ON,
    REQUEST,
    STARTED,
    TRACKED,
    Answer,
    BadReplyError,
    memory_size,
    picture,
    read_reply,
    read_text,
)
from avatar.tracking.frame_memory import FrameMemory, open_frame_memory

START_LIMIT_S = 60.0  # a cold disk and a slow processor: loading MediaPipe takes half a second on others
CAGE = [sys.executable, "-P", "-m", "avatar.tracking.child"]


class DownError(Exception):
    """The process cannot be used any more. The message is the rest of a sentence on it."""


class CageProcess:
    """`track` from one thread; `kill` and `end` from any. Raises VisavisError when there can be no process at all."""

    def __init__(self, mode: str, max_faces: int, model: Path) -> None:
        self._max_faces = max_faces
        self._busy = threading.Lock()
        self._serial = 0
        self._memory: FrameMemory = open_frame_memory(FRAME_AT)
        # where a native crash tells its reason
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        arguments = [str(os.getpid()), mode, str(max_faces), self._memory.address, str(FRAME_AT), str(model)]
        descriptor = getattr(self._memory, "descriptor", None)
        try:
            self._process = subprocess.Popen(
                [*CAGE, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("VISAVIS_NATIVE_LOG") else self._said,
                bufsize=0,
                pass_fds=() if descriptor is None else (descriptor,),
                env=cage_environment(),
                start_new_session=True,
                creationflags=OWN_GROUP,
            )
        except OSError as error:
            self._memory.release()
            raise VisavisError(f"The tracker cannot start: {error}. Close other programs, and try again.") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._bell = self._process.stdin, self._process.stdout
        if sys.platform != "win32":  # it may open its ends anew, and fill the one or empty the other: nobody waits then
            os.set_blocking(self._requests.fileno(), False)
            os.set_blocking(self._bell.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_start(self) -> None:
        """Raises VisavisError with the reason when it does not start."""
        try:
            with self._busy:
                rung = self._wait_for_bell(START_LIMIT_S)
                if rung == STARTED:
                    return
                if rung == FAILED and (reason := read_text(self._memory)):
                    raise VisavisError(reason)
            raise DownError("started with nonsense")
        except DownError as error:
            said = self._last_words()
            raise VisavisError(
                f"The tracker cannot start: its process {error}{f' ({said})' if said else ''}. Run `visavis doctor`."
            ) from error

    def track(self, rgb: NDArray[np.uint8], capture_ns: int, limit_s: float, before: int = GOES_ON) -> Answer:
        """`before`: what the pictures before mean to this one, see `cage_wire`.

        Raises DownError when it is dead, takes longer, or answers what no tracker answers."""
        height, width = rgb.shape[:2]
        with self._busy:
            self._serial += 1
            try:
                self._memory.reserve(memory_size(height, width))
                picture(self._memory, height, width)[...] = rgb
                address = self._memory.address.encode()
                size_bytes = len(self._memory.buffer)
                request = REQUEST.pack(self._serial, capture_ns, height, width, before, size_bytes, address)
                if not self._requests.write(request):
                    raise DownError("takes no more pictures")
            except (OSError, ValueError) as error:
                raise DownError(self._end_in_words()) from error
            rung = self._wait_for_bell(limit_s)
            if rung == FAILED:
                raise DownError(f"stopped: {read_text(self._memory)}")
            if rung != TRACKED:
                raise DownError("rang without need")
            try:
                return read_reply(self._memory, self._serial, capture_ns, self._max_faces, max(height, width))
            except BadReplyError as error:
                raise DownError(f"cannot be believed: {error}") from error

    def kill(self) -> None:
        """At once; whoever waits for an answer gets DownError."""
        self._process.kill()

    def end(self) -> None:
        """Kill it, and let go of all that it held here."""
        self._process.kill()
        self._process.wait()
        with self._busy:
            self._requests.close()
            self._bell.close()
            self._said.close()
            self._memory.release()

    def _wait_for_bell(self, limit_s: float) -> bytes:
        """One byte. Raises DownError when none comes."""
        if sys.platform == "win32":  # which cannot wait for a pipe
            watch = threading.Timer(limit_s, self._process.kill)
            watch.start()
            rung = self._bell.read(1)
            watch.cancel()
        else:
            waiting = select.poll()
            waiting.register(self._bell, select.POLLIN)
            if not waiting.poll(limit_s * 1e3):
                raise DownError(f"gave no answer for {limit_s:.0f} s")
            rung = self._bell.read(1)
        if not rung:
            raise DownError(self._end_in_words())
        return rung

    def _end_in_words(self) -> str:
        try:
            return end_in_words(self._process.wait(1.0))
        except subprocess.TimeoutExpired:
            return "closed its pipe"

    def _last_words(self) -> str:
        """The last line on its stderr, for the crashes that say something there only."""
        self._said.seek(0)
        lines = self._said.read()[-4000:].decode(errors="replace").strip().splitlines()
        return plain_text(lines[-1]) if lines else ""


def examine_cage() -> tuple[Confinement, str | None]:
    """Try it without a picture: (which of its walls are missing, why MediaPipe does not load). Takes half a second."""
    try:
        done = subprocess.run(
            [*CAGE, "examine"],
            capture_output=True,
            text=True,
            errors="replace",
            env=cage_environment(),
            timeout=3 * START_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Confinement(None, None), f"its process does not run: {error}"
    lines = done.stdout.split("\n")
    if done.returncode or len(lines) != 4:
        said = done.stderr.strip()[-300:]
        return Confinement(None, None), f"its process ended with exit code {done.returncode} {said}"
    network, files, missing = (line or None for line in lines[:3])
    return Confinement(network, files), missing

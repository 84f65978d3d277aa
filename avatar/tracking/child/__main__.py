"""The process that runs MediaPipe for `CagedTracker`: it puts up its walls, and only then imports anything of it.

    python -P -m avatar.tracking.child PARENT_PID MODE MAX_FACES ADDRESS SIZE_BYTES MODEL
    python -P -m avatar.tracking.child matte
    python -P -m avatar.tracking.child examine

Started by `CagedTracker`, `person_mattes` and `examine_cage` alone; the latter tells `visavis doctor` what the cage can
do on this computer. Nothing that could start a thread is imported before the walls: Landlock's would not hold for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from avatar.core.errors import VisavisError
from avatar.core.heap import HeapTrim, started_up
from avatar.core.own_process import settle
from avatar.core.plain_text import plain_text
from avatar.sandbox.confinement import open_for_reading_only
from avatar.tracking.child.walls import fault_of, wall_in

if TYPE_CHECKING:
    from avatar.tracking.child.face_landmarker import FaceTracker
    from avatar.tracking.frame_memory import FrameMemory

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    settle()
    if arguments == ["examine"]:
        examine()
        return
    if arguments == ["matte"]:
        if fault := fault_of(wall_in()):
            sys.exit(fault)
        from avatar.tracking.child.person_segmenter import answer

        answer()
    parent, mode, max_faces, address, size_bytes, model = arguments
    die_with(int(parent))
    walls = wall_in(Path(model))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    requests, bell = _private(sys.stdin.fileno(), "rb"), _private(sys.stdout.fileno(), "wb")

    from avatar.tracking.cage_wire import FAILED, STARTED, write_text
    from avatar.tracking.frame_memory import attach

    memory = attach(None, address, int(size_bytes))
    try:
        if fault := fault_of(walls):
            raise VisavisError(f"The tracker cannot start: {fault}.")
        kind, most = _face_tracker(), int(max_faces)
        described, _, how = mode.rpartition(" ")
        open_tracker = partial(kind, Path(model), "image" if how == "image" else "video", most, bool(described))
        tracker = open_tracker()
    except Exception as error:  # whatever it is, the parent is told
        known = isinstance(error, VisavisError)
        what = f"The tracker cannot start ({type(error).__name__}: {error}). Run `visavis doctor`."
        write_text(memory, str(error) if known else what)
        bell.write(FAILED)
        return
    open_for_reading_only()
    if not os.environ.get("VISAVIS_NATIVE_LOG"):
        os.dup2(1, 2)  # it chatters on, and from now on its errors are exceptions
    with started_up():
        bell.write(STARTED)
        serve(tracker, open_tracker, partial(kind, Path(model), "image", most), memory, requests, bell)
    os._exit(0)  # nothing here is worth a finaliser that might hang


def _face_tracker() -> type[FaceTracker]:
    try:
        from avatar.tracking.child.face_landmarker import FaceTracker
    except (ImportError, OSError) as error:
        raise VisavisError(
            f"The tracker cannot start: {error}. Run `visavis doctor`, which names the missing system library."
        ) from error
    return FaceTracker


def serve(
    tracker: FaceTracker,
    open_tracker: Callable[[], FaceTracker],
    open_still_tracker: Callable[[], FaceTracker],
    memory: FrameMemory,
    requests: BinaryIO,
    bell: BinaryIO,
) -> None:
    """Answer until the parent is gone, or a picture cannot be tracked.

    `open_tracker`: another one, which saw nothing. `open_still_tracker`: one in image mode, for pictures that stand
    alone; it is there as long as these come.
    """
    from avatar.tracking.cage_wire import ALONE, FAILED, REQUEST, STARTS_ANEW, TRACKED, picture, write_reply, write_text
    from avatar.tracking.frame_memory import attach

    heap = HeapTrim()
    still: FaceTracker | None = None
    while len(request := requests.read(REQUEST.size)) == REQUEST.size:
        serial, capture_ns, height, width, before, size_bytes, address = REQUEST.unpack(request)
        memory = attach(memory, address.rstrip(b"\0").decode(), size_bytes)
        try:
            if before == ALONE:
                still = still or open_still_tracker()
            elif still is not None:
                still.close()
                still = None
            if before == STARTS_ANEW:
                tracker.close()
                tracker = open_tracker()
            asked = still or tracker
            state = asked.track(picture(memory, height, width), capture_ns)
        except Exception as error:  # whatever it is, the parent is told, and starts another
            write_text(memory, f"{type(error).__name__}: {error}")
            bell.write(FAILED)
            return
        write_reply(memory, serial, state, asked.others)
        bell.write(TRACKED)
        heap.after_frame(capture_ns)


def examine() -> None:
    """Prints three lines: why the network, and why the files of this computer can still be reached, or nothing; why
    MediaPipe does not load, or nothing."""
    walls = wall_in()
    network, files, missing = walls.network or _socket_still_open(), walls.files or _file_still_open(), ""
    try:
        import avatar.tracking.child.mediapipe_tasks  # noqa: F401
    except (ImportError, OSError) as error:
        missing = plain_text(error)
    print(network, files, missing, sep="\n", flush=True)
    os._exit(0)


def _socket_still_open() -> str:
    try:
        socket.socket().close()
    except OSError:
        return ""
    return "the kernel took the filter, and does not apply it"


def _file_still_open() -> str:
    try:
        list(Path("/").iterdir())
    except OSError:
        return ""
    return "the kernel took the rules, and does not apply them"


def die_with(parent: int) -> None:
    """Be killed when the parent is, even in mid-picture. On other systems the end of its pipe must suffice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


def _private(descriptor: int, how: Literal["rb", "wb"]) -> BinaryIO:
    """The pipe at a number of its own, so that nothing that is printed gets into it."""
    kept = os.fdopen(os.dup(descriptor), how, buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)
    return kept


if __name__ == "__main__":
    main(sys.argv[1:])

"""Fine-tuning from the page: one avatar at a time, by a process of its own, while the avatar lives as it was.

What came out waits in a private folder until the person has compared both and chosen. It goes on when the page is
closed, and ends with visavis.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from avatar.core.errors import InputError, UsageError
from avatar.core.file_name import Version, version
from avatar.dashboard.avatars import existing
from avatar.dashboard.file_process import apart, command
from avatar.dashboard.refusals import BusyError, NotThereError
from avatar.dashboard.upload_folder import UploadFolder
from avatar.http.peer_text import PeerTextError, json_object
from avatar.identity.bundle import load_avatar
from avatar.identity.mattes import open_avatar
from avatar.identity.ready_faces import refuse_ready_face
from avatar.live.avatar_file import keep_changed
from avatar.sandbox.child_process import end_in_words

MINUTES, MOST_MINUTES = 5, 60
PICTURES = ("before", "after")
PROCESS = "avatar.dashboard.finetune_process"
LOW_PRIORITY: int = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)  # on Windows; else the process sees to it

# "choice": the new one waits for the person to choose; "told": there is none, and `words` say why
State = Literal["none", "working", "choice", "told"]


class FineTuning:
    """From any thread. `changed` is called when `report` is new."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._state: State = "none"
        self._name, self._path = "", Path()
        self._before: Version | None = None  # the avatar's file
        self._share = 0.0
        self._minutes = MINUTES
        self._words, self._longer_minutes = "", 0
        self._folder: UploadFolder | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def report(self) -> dict[str, Any]:
        with self._lock:
            return {
                "state": self._state,
                "name": self._name,
                "share": self._share,
                "minutes": self._minutes,
                "words": self._words,
                "longer_minutes": self._longer_minutes,
            }

    def start(self, name: str, minutes: int = MINUTES) -> None:
        """Raises UsageError, BusyError while another is at work or waits, NotThereError without that avatar."""
        path = existing(name)
        refuse_ready_face(path)
        if not 1 <= minutes <= MOST_MINUTES:
            raise UsageError(f"Fine-tuning takes 1 to {MOST_MINUTES} minutes.")
        if open_avatar(path).fine_tuned:  # what it lacks is made before, and does not change the file meanwhile
            raise UsageError(f"{name} is fine-tuned already. Enrol the photos again first.")
        with self._lock:
            if self._state in ("working", "choice"):
                what = "is being fine-tuned" if self._state == "working" else "waits for you to choose"
                raise BusyError(f"{self._name} {what}. Finish that first.")
            self._forget()
            self._folder = UploadFolder()
            self._name, self._path, self._before, self._minutes = name, path, version(path), minutes
            self._state = "working"
            how = apart()
            how["creationflags"] |= LOW_PRIORITY
            self._process = process = subprocess.Popen(
                command(PROCESS, str(path), str(self._folder.path), str(minutes)), **how
            )
            self._reader = threading.Thread(target=self._read, args=(process,), name="visavis-finetune", daemon=True)
            self._reader.start()
        self._changed()

    def picture(self, which: str) -> bytes:
        """JPEG of the avatar before or after. Raises NotThereError."""
        with self._lock:
            if self._state != "choice" or self._folder is None or which not in PICTURES:
                raise NotThereError("There is nothing to compare. Fine-tune an avatar first.")
            return (self._folder.path / which).read_bytes()

    def keep(self) -> None:
        """The new one. Raises UsageError where none waits, VisavisError where the avatar was changed meanwhile."""
        with self._lock:
            if self._state != "choice" or self._folder is None:
                raise UsageError("There is nothing to keep. Fine-tune an avatar first.")
            keep_changed(load_avatar(self._folder.path / "made"), self._path, self._path, self._before)
            self._forget()
        self._changed()

    def give_up(self) -> None:
        """Stop it, or keep the avatar as it was."""
        with self._lock:
            self._forget()
        self._changed()

    def close(self) -> None:
        with self._lock:
            self._forget()
        if self._reader is not None:
            self._reader.join(10.0)

    def _forget(self) -> None:
        """With the lock held."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()
        self._state, self._name, self._share, self._words, self._longer_minutes = "none", "", 0.0, "", 0

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        last: dict[str, Any] | None = None
        with process.stdout, suppress(PeerTextError):
            for line in process.stdout:
                last = json_object(line)
                with self._lock:
                    if self._process is not process:
                        return  # given up
                    self._share = float(last.get("share", 1.0))
                self._changed()
        code = process.wait()
        with self._lock:
            if self._process is not process:
                return
            try:
                self._take(last, code)
            except InputError as error:
                self._state, self._words = "told", error.on_page
        self._changed()

    def _take(self, last: dict[str, Any] | None, code: int) -> None:
        """What it said last. With the lock held. Raises InputError."""
        if last is None or "share" in last:
            raise InputError(f"Fine-tuning {end_in_words(code)}. {self._name} stays as it was; try again.")
        if "error" in last:
            raise InputError(str(last["error"]))
        self._state = "choice" if last["kept"] else "told"
        self._words, self._longer_minutes = str(last["words"]), int(last["longer_minutes"])

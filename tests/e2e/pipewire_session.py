"""PipeWire as on a desktop, for tests: a message bus, the daemon and its session manager, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("pipewire", "wireplumber", "pw-dump", "dbus-daemon", "gst-launch-1.0")
PORTAL = Path("/usr/libexec/xdg-desktop-portal")


class PipeWireSession:
    """`environment` is for the programs that take part."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.environment = {**environment, "XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder / "state")}
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []
        bus = self.start("dbus-daemon", "--session", "--nofork", "--print-address", stdout=subprocess.PIPE)
        assert bus.stdout is not None
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        self.start_pipewire()

    def start(self, *command: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """A program of the session, which ends with it."""
        program = subprocess.Popen(command, env=self.environment, text=True, stdout=stdout, stderr=subprocess.DEVNULL)
        self._running.append(program)
        return program

    def start_pipewire(self) -> None:
        self._daemons = [self.start("pipewire")]
        wait_for(lambda: (self._folder / "pipewire-0").is_socket())
        self._daemons.append(self.start("wireplumber"))

    def stop_pipewire(self) -> None:
        for daemon in self._daemons:
            stop(daemon)

    def start_portal(self) -> None:
        """With the camera allowed: what a click on "Allow" stores. Its dialogs need DISPLAY, also from the bus.

        Returns once the portal knows of a camera: who asks earlier is told that there is none.
        """
        update = ["dbus-update-activation-environment", "DISPLAY"]
        subprocess.run(update, env=self.environment, check=True)
        store = "org.freedesktop.impl.portal.PermissionStore"
        permission = ["string:devices", "boolean:true", "string:camera", "string:", "array:string:yes"]
        allow = ["dbus-send", "--session", "--print-reply", f"--dest={store}", f"/{store.replace('.', '/')}"]
        subprocess.run([*allow, f"{store}.SetPermission", *permission], env=self.environment, check=True)
        self.start(str(PORTAL))
        wait_for(self._portal_has_camera, 60)

    def _portal_has_camera(self) -> bool:
        desktop = ["--dest=org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"]
        asked = ["string:org.freedesktop.portal.Camera", "string:IsCameraPresent"]
        command = ["dbus-send", "--session", "--print-reply", *desktop, "org.freedesktop.DBus.Properties.Get", *asked]
        answer = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return "boolean true" in answer.stdout

    def end(self) -> None:
        for program in reversed(self._running):
            stop(program)


def stop(program: subprocess.Popen[str]) -> None:
    program.terminate()
    try:
        program.wait(10)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def wait_for(is_so: object, seconds: float = 30.0) -> None:
    """Until the callable says True. Raises TimeoutError."""
    assert callable(is_so)
    end_s = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {seconds} s: {is_so}")
        time.sleep(0.1)


@contextmanager
def pipewire_session() -> Iterator[PipeWireSession]:
    # sockets' paths are limited to 107 characters
    folder = Path(tempfile.mkdtemp(prefix="visavis-pw-", dir="/tmp"))
    session = None
    try:
        session = PipeWireSession(folder, {**os.environ})
        yield session
    finally:
        if session is not None:
            session.end()
        shutil.rmtree(folder, ignore_errors=True)

"""The page's button for a virtual camera.

A stub stands in for pkexec, whose window no test can answer, and files for the kernel's module.
"""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from avatar.core.errors import DeviceError
from avatar.dashboard import virtual_camera_setup
from avatar.dashboard.virtual_camera_setup import VirtualCameraSetup
from avatar.http.listener import Listener
from avatar.http.safety import Gate, Tokens
from avatar.publish import advice, loopback_setup
from avatar.publish.loopback_setup import Step
from avatar.sources.v4l2 import VideoDevice

DEVICE = VideoDevice("/dev/video10", "visavis", captures=False, loopback=True, locked=False)
Ask = Callable[..., Coroutine[Any, Any, tuple[int, Any]]]


@pytest.fixture
def pkexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a pkexec into PATH that does this, its arguments in "$@". Returns the folder where it runs."""

    def install(body: str) -> Path:
        stub = tmp_path / "pkexec"
        stub.write_text(f'#!/bin/sh\ncd {tmp_path}\nprintf "%s\\n" "$@" >asked\n{body}\n')
        stub.chmod(0o700)
        return tmp_path

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return install


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """A computer whose driver is a file: nothing of the real one is looked at."""
    steps = [
        Step("touch helper", "brings the helper", root=False),
        Step("cp helper installed", "installs it"),
        Step("cp installed loaded", "switches it on"),
    ]

    def device() -> VideoDevice | None:
        return DEVICE if (tmp_path / "loaded").exists() else None

    monkeypatch.setattr(virtual_camera_setup, "SEEN_S", 0.2)
    monkeypatch.setattr(virtual_camera_setup, "usable_loopback", device)
    monkeypatch.setattr(virtual_camera_setup, "steps", lambda: steps)
    monkeypatch.setattr(virtual_camera_setup, "lacks_pyvirtualcam", lambda: not (tmp_path / "helper").exists())
    monkeypatch.setattr(loopback_setup, "lacks_pyvirtualcam", lambda: False)
    monkeypatch.setattr(loopback_setup, "loopback_commands", lambda: ["modprobe"])
    monkeypatch.chdir(tmp_path)
    return steps


def owner(act: Callable[[Ask], Awaitable[None]]) -> None:
    """As the owner's page asks."""

    async def run() -> None:
        tokens = Tokens()
        gate = Gate(tokens)
        listener = Listener(gate)
        VirtualCameraSetup().add_routes(listener.app, gate)
        address = f"http://127.0.0.1:{await listener.start('127.0.0.1', 0)}"
        gate.allow({address})
        async with aiohttp.ClientSession(address) as session:

            async def ask(method: str, body: Any = None, token: str = tokens.owner) -> tuple[int, Any]:
                headers = {"Authorization": f"Bearer {token}"}
                async with session.request(method, virtual_camera_setup.PATH, json=body, headers=headers) as answer:
                    return answer.status, await answer.json() if answer.status < 401 else await answer.text()

            assert (await ask("POST", {}, tokens.guest))[0] == 403
            await act(ask)
        await listener.close()

    asyncio.run(run())


def test_what_was_shown_and_pressed_is_run_in_one_go(lacking: list[Step], pkexec: Callable[[str], Path]) -> None:
    folder = pkexec('shift 1; exec "$@"')

    async def act(ask: Ask) -> None:
        status, found = await ask("GET")
        assert (status, found["device"], found["problem"]) == (200, "", "")
        assert found["asks"][0] == {"run": "touch helper", "why": "brings the helper", "root": False}
        assert "driver for virtual cameras" in found["missing"]
        assert not (folder / "asked").exists()  # nobody has pressed
        status, refusal = await ask("POST", {"run": ["touch helper"]})
        assert status == 400 and "changed meanwhile" in refusal["error"] and not (folder / "asked").exists()
        status, found = await ask("POST", {"run": [step["run"] for step in found["asks"]]})
        assert (status, found["kind"], found["device"], found["asks"]) == (200, "v4l2loopback", "/dev/video10", [])

    owner(act)
    asked = (folder / "asked").read_text().splitlines()
    assert asked[0] == "--disable-internal-agent"
    assert asked[-4:] == ["/bin/sh", "-ec", "cp helper installed", "cp installed loaded"]


def test_only_one_is_asked_at_a_time(lacking: list[Step], pkexec: Callable[[str], Path]) -> None:
    folder = pkexec('while [ ! -e answered ]; do sleep 0.05; done; shift 1; exec "$@"')

    async def act(ask: Ask) -> None:
        wanted = {"run": [step.run for step in lacking]}
        first = asyncio.create_task(ask("POST", wanted))
        while not (folder / "asked").exists():
            await asyncio.sleep(0.05)
        assert (await ask("POST", wanted))[0] == 409
        assert (await ask("GET"))[1]["working"] is True
        (folder / "answered").touch()
        assert (await first)[0] == 200

    owner(act)


def test_without_pkexec_there_are_the_commands(
    lacking: list[Step], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(advice, "loopback_module_loaded", lambda: False)
    monkeypatch.setattr(advice, "loopback_module_installed", lambda: False)

    async def act(ask: Ask) -> None:
        found = (await ask("GET"))[1]
        assert "no pkexec" in found["problem"]
        assert "modprobe v4l2loopback" in found["copy"][-1]
        status, refusal = await ask("POST", {"run": [step.run for step in lacking]})
        assert status == 400 and "no pkexec" in refusal["error"]

    owner(act)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'Error executing command as another user: Request dismissed' >&2; exit 126", "was not given"),
        (
            "echo 'Error executing command as another user: No authentication agent found.' >&2; exit 127",
            "No window asked",
        ),
        ("echo 'Error executing command as another user: Not authorized' >&2; exit 127", "may not become"),
        ("echo 'modprobe: ERROR: could not insert: Key was rejected by service'; exit 1", "Secure Boot"),
        ("echo 'modprobe: FATAL: Module v4l2loopback not found in directory /lib/modules/6'; exit 1", "restart the"),
        ("echo 'Error: Unable to find a match: akmod-v4l2loopback'; exit 1", "RPM Fusion"),
        ("echo 'E: Could not get lock /var/lib/dpkg/lock-frontend'; exit 100", "Another program is installing"),
        ("echo 'something new'; exit 5", "something new"),
        ("exit 0", "no camera came"),
    ],
)
def test_what_goes_wrong_is_one_sentence_that_says_what_to_do(
    lacking: list[Step], pkexec: Callable[[str], Path], body: str, words: str
) -> None:
    pkexec(body)
    with pytest.raises(DeviceError, match=words) as caught:
        virtual_camera_setup._run(lacking)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", ["debian", "fedora", "arch"])
def test_the_commands_are_those_of_the_doctor(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "loopback_module_loaded", lambda: False)
    monkeypatch.setattr(advice, "loopback_module_installed", lambda: False)
    monkeypatch.setattr(advice, "system_family", lambda: family)
    monkeypatch.setattr(advice, "find_spec", lambda _: None)
    monkeypatch.setattr(loopback_setup, "lacks_pyvirtualcam", lambda: True)
    found = loopback_setup.steps()
    as_root = [f"sudo {step.run}" for step in found if step.root]
    *typed, bring = advice.virtual_camera_commands()
    assert [line.partition("    #")[0] for line in typed] == as_root
    assert (found[0].root, found[0].run.rpartition(" -m ")[2]) == (False, bring[bring.index("pip install") :])
    assert found[-1].why.startswith("switches it on")


def test_pip_is_that_of_this_python_whatever_lies_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loopback_setup, "lacks_pyvirtualcam", lambda: True)
    python = shlex.split(loopback_setup.steps()[0].run.partition(" install ")[0])
    loopback_setup._run([*python, "--version"])

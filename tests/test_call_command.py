"""`visavis call`: what it cannot take, it says before it starts anything."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from avatar.cli.commands import command_app
from avatar.core.errors import UsageError
from avatar.sources.camera import CameraOrMotion

pytestmark = pytest.mark.realtime


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codec", "av1"], "auto, h264 or vp8"),
        (["--turn", "turn:h:1"], "VISAVIS_TURN_PASSWORD"),
        (["--relay-only"], "needs a relay"),
        (["--stun", "h:1"], "not like stun:"),
        (["--floor-kbps", "5000"], "ceiling"),
        (["--listen", "8443"], "HOST:PORT"),
        (["--join", "https://h/"], "room link"),
        (["--key", "key.pem"], "--certificate"),
        (["--camera", "whip:8080"], "--port"),
    ],
)
def test_options_that_cannot_work_say_why(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avatar.identity.bundle import avatar_path, save_avatar
    from tests.clips import astronaut_avatar

    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    avatar_path("ada").parent.mkdir()
    save_avatar(astronaut_avatar(), avatar_path("ada"))
    monkeypatch.setattr("avatar.call.running_call.host_call", lambda *_: pytest.fail("it started"))
    camera = ["--camera", "browser", "--no-open"]
    with pytest.raises(UsageError, match=message):
        command_app("call")(["ada", *camera, *options], standalone_mode=False)


def test_only_what_the_command_has_started_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that the page chooses may fail: the others stay in the call, and another one can be chosen."""
    from avatar.call.running_call import ended_by_itself
    from avatar.core.errors import DeviceError
    from avatar.dashboard.dashboard import Dashboard
    from avatar.dashboard.live_choices import CameraChoice, Given, Wish
    from avatar.identity.bundle import avatar_path, save_avatar
    from avatar.tracking.model_asset import tracker_model
    from tests.clips import astronaut_avatar

    def broken(_say: object) -> CameraOrMotion:
        raise DeviceError("It is unplugged.")

    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    avatar_path("ada").parent.mkdir()
    save_avatar(astronaut_avatar(), avatar_path("ada"))
    live = Dashboard(tracker_model, Given([CameraChoice("camera", "A camera", broken)])).live
    for over in (True, False):
        live.start(Wish("ada", "camera"))
        end_s = time.monotonic() + 20
        while live.report()["state"] != "off":
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert live.report()["problem"] == "It is unplugged." and ended_by_itself(live) is over

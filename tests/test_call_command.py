"""`visavis call`: what it cannot take, it says before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar.cli.main import _command_app
from avatar.errors import UsageError


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
    from clips import astronaut_avatar

    from avatar.identity.bundle import avatar_path, save_avatar

    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    avatar_path("ada").parent.mkdir()
    save_avatar(astronaut_avatar(), avatar_path("ada"))
    monkeypatch.setattr("avatar.call.hosting.host_call", lambda *_: pytest.fail("it started"))
    camera = ["--camera", "browser", "--no-open"]
    with pytest.raises(UsageError, match=message):
        _command_app("call")(["ada", *camera, *options], standalone_mode=False)

"""GStreamer's webrtcbin plays the avatar by WHEP: another implementation of WebRTC, with an RSA certificate."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from avatar.call.hosting import CallOptions, host_call
from tests.e2e.moving_avatar import MovingAvatar

PYTHON = "/usr/bin/python3"
PLAYER = Path(__file__).with_name("gst_whep_viewer.py")


def gstreamer_is_there(*more: str) -> bool:
    wanted = ("webrtcbin", "nicesrc", "dtlsdec", "opusdec", "vp8dec", "avdec_h264", *more)
    code = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstWebRTC', '1.0')\n"
        f"from gi.repository import Gst; Gst.init(None); assert all(map(Gst.ElementFactory.find, {wanted}))"
    )
    return Path(PYTHON).exists() and subprocess.run([PYTHON, "-c", code], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.realtime,
    pytest.mark.skipif(
        not gstreamer_is_there(),
        reason="no GStreamer: apt-get install gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-nice "
        "gstreamer1.0-libav python3-gi gir1.2-gst-plugins-bad-1.0",
    ),
]


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_gstreamer_plays_the_avatar_by_whep(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    with host_call(CallOptions("Ada"), None) as hosted:
        avatar = MovingAvatar(hosted.call.video.put)
        try:
            url = hosted.page_link.partition("#")[0] + "whep"
            done = subprocess.run(
                [PYTHON, str(PLAYER), url, hosted.tokens.player, "20", codec],
                capture_output=True,
                text=True,
                timeout=60,
            )
        finally:
            avatar.stop()
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        print(seen)
        assert seen["video"] > 60 and seen["audio"] > 60
        assert (seen["width"], seen["height"]) == (512, 512)
        end_s = time.monotonic() + 5
        while len(hosted.call.peers):
            assert time.monotonic() < end_s
            time.sleep(0.05)

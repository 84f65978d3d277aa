"""The page's choice of cameras in a call, beside this computer's webcams."""

from __future__ import annotations

from avatar.call.hosted_call import HostedCall
from avatar.dashboard.live_choices import CameraChoice
from avatar.sources.camera import open_camera_or_motion
from avatar.sources.network_camera import public_name
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.whip_source import source_advice
from engines import Say

BROWSER, WHIP, GIVEN = "browser", "whip", "given"  # ids of choices


class CallCameras:
    """The browser's own, a source by WHIP, and what --camera names where that is neither."""

    hosted: HostedCall  # to be set before one is opened

    def __init__(self, spec: str, loop: bool) -> None:
        """spec: of --camera. loop: start a video over when it ends."""
        browser = CameraChoice(BROWSER, "This browser's camera", self._open_browser)
        whip = CameraChoice(WHIP, "OBS or another program, by WHIP", self._open_whip)
        named = CameraChoice(
            GIVEN, f"--camera {public_name(spec)}", lambda say: open_camera_or_motion(spec, loop, say=say)
        )
        self.choices = [browser, whip] if spec in (BROWSER, WHIP) else [named, browser, whip]
        self.first = spec if spec in (BROWSER, WHIP) else GIVEN

    def _open_browser(self, say: Say) -> RemoteCamera:
        camera = self.hosted.browser_camera = RemoteCamera("a browser's camera", say)
        return camera

    def _open_whip(self, say: Say) -> RemoteCamera:
        camera = self.hosted.whip_camera = RemoteCamera("a source by WHIP", say)
        say(source_advice([f"{address}whip" for address in self.hosted.addresses], self.hosted.tokens.source))
        return camera

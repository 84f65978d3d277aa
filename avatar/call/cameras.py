"""The page's choice of cameras in a call, beside this computer's webcams."""

from __future__ import annotations

from pathlib import Path

from avatar.call.hosted_call import HostedCall
from avatar.dashboard.live_choices import CameraChoice
from avatar.sources.camera import open_camera_or_motion
from avatar.sources.local_cameras import LinuxCamera, find_webcam
from avatar.sources.network_camera import is_address, public_name
from avatar.sources.v4l2 import video_devices
from avatar.webrtc.remote_camera import RemoteCamera
from avatar.webrtc.whip_source import source_advice
from engines import Say

BROWSER, WHIP, GIVEN = "browser", "whip", "given"  # ids of choices


class CallCameras:
    """The browser's own, a source by WHIP, and what --camera names where that is neither."""

    hosted: HostedCall  # to be set before one is opened

    def __init__(self, spec: str, loop: bool) -> None:
        """spec: of --camera. loop: start a video over when it ends."""
        webcam = find_webcam(spec) if spec not in (BROWSER, WHIP) and not is_address(spec) else None
        browser = CameraChoice(BROWSER, "This browser's camera", self._open_browser)
        whip = CameraChoice(WHIP, "OBS or another program, by WHIP", self._open_whip)
        # this computer's webcams are listed as such; one that is not there says so when it is opened
        named = CameraChoice(
            GIVEN,
            public_name(spec) if is_address(spec) else Path(spec).name,
            lambda say: open_camera_or_motion(spec, loop, say=say),
            listed=not isinstance(webcam, LinuxCamera),
        )
        self.choices = [browser, whip] if spec in (BROWSER, WHIP) else [named, browser, whip]
        self.first = spec if spec in (BROWSER, WHIP) else GIVEN
        if isinstance(webcam, LinuxCamera) and any(device.path == webcam.path for device in video_devices()):
            self.first = webcam.path

    def _open_browser(self, say: Say) -> RemoteCamera:
        camera = self.hosted.browser_camera = RemoteCamera("a browser's camera", say)
        return camera

    def _open_whip(self, say: Say) -> RemoteCamera:
        camera = self.hosted.whip_camera = RemoteCamera("a source by WHIP", say)
        say(source_advice([f"{address}whip" for address in self.hosted.addresses], self.hosted.tokens.source))
        return camera

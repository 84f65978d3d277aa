"""A WHIP source of GStreamer's, run by the system's Python: URL TOKEN FILE CODEC SECONDS [sound].

Prints each HTTP status. While another source is there (409), it asks again; SECONDS after it was let in, it hangs up.
"""

import sys
import urllib.error
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    "VP8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 target-bitrate=1500000 ! rtpvp8pay pt=96",
    "H264": (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=1500 ! "
        "video/x-h264,profile=constrained-baseline ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency"
    ),
}
TONE = (
    "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=97 ! "
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000 ! source."
)
AGAIN_MS = 700


class Source:
    def __init__(
        self, url: str, token: str, file: str, codec: str, seconds: float, sound: bool, loop: GLib.MainLoop
    ) -> None:
        self.url, self.token, self.seconds, self.loop = url, token, seconds, loop
        self.session: str | None = None
        self.pipeline = Gst.parse_launch(
            f"webrtcbin name=source bundle-policy=max-bundle filesrc location={file} ! decodebin ! videoconvert ! "
            f"identity sync=true ! {ENCODERS[codec]} ! "
            f"application/x-rtp,media=video,encoding-name={codec},payload=96,clock-rate=90000 ! source. "
            f"{TONE if sound else ''}"
        )
        self.source = self.pipeline.get_by_name("source")
        self.source.connect("on-negotiation-needed", self._offer)
        self.source.connect("notify::ice-gathering-state", self._gathered)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self._failed)
        self.pipeline.set_state(Gst.State.PLAYING)

    def _failed(self, _: object, message: Gst.Message) -> None:
        print(message.parse_error(), file=sys.stderr)
        self.loop.quit()

    def _offer(self, *_: object) -> None:
        for index in range(2):
            transceiver = self.source.emit("get-transceiver", index)
            if transceiver is not None:
                transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        self.source.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offered))

    def _offered(self, promise: Gst.Promise, *_: object) -> None:
        reply = promise.get_reply()  # owns the offer: it must live until the text is taken
        offer = reply.get_value("offer")
        self.source.emit("set-local-description", _description("OFFER", offer.sdp.as_text()), Gst.Promise.new())

    def _gathered(self, *_: object) -> None:
        if self.source.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._post)

    def _post(self) -> bool:
        offer = self.source.get_property("local-description").sdp.as_text()
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {self.token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url, offer.encode(), headers)) as reply:
                print(reply.status, flush=True)
                self.session, answer = reply.headers["Location"], reply.read().decode()
                GLib.timeout_add(round(self.seconds * 1000), self.loop.quit)
        except urllib.error.HTTPError as refusal:
            print(refusal.code, flush=True)
            if refusal.code in (409, 429):
                GLib.timeout_add(AGAIN_MS, self._post)
            else:
                print(refusal.read().decode(), file=sys.stderr)
                self.loop.quit()
            return False
        self.source.emit("set-remote-description", _description("ANSWER", answer), Gst.Promise.new())
        return False

    def leave(self) -> None:
        if self.session is not None:
            url = "/".join(self.url.split("/")[:3]) + self.session
            request = urllib.request.Request(url, method="DELETE", headers={"Authorization": f"Bearer {self.token}"})
            with urllib.request.urlopen(request) as reply:
                print(reply.status, flush=True)
        self.pipeline.set_state(Gst.State.NULL)


def _description(kind: str, text: str) -> GstWebRTC.WebRTCSessionDescription:
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(getattr(GstWebRTC.WebRTCSDPType, kind), message)


def main() -> None:
    url, token, file, codec, seconds = sys.argv[1:6]
    Gst.init(None)
    loop = GLib.MainLoop()
    source = Source(url, token, file, codec, float(seconds), "sound" in sys.argv[6:], loop)
    loop.run()
    source.leave()


if __name__ == "__main__":
    main()

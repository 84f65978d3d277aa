"""A WHEP player of GStreamer's, run by the system's Python: URL TOKEN SECONDS [CODEC]. Prints what it saw as JSON."""

import json
import sys
import time
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

CAPS = {
    "VP8": "application/x-rtp,media=video,encoding-name=VP8,payload=97,clock-rate=90000",
    "H264": (
        "application/x-rtp,media=video,encoding-name=H264,payload=97,clock-rate=90000,packetization-mode=(string)1,"
        "profile-level-id=(string)42e01f"
    ),
}
OPUS = "application/x-rtp,media=audio,encoding-name=OPUS,payload=96,clock-rate=48000,encoding-params=(string)2"


class Player:
    def __init__(self, url: str, token: str, codec: str) -> None:
        self.url, self.token = url, token
        self.seen = {"video": 0, "audio": 0, "width": 0, "height": 0}
        self.pipeline, self.player = Gst.Pipeline(), Gst.ElementFactory.make("webrtcbin")
        self.player.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.player)
        for caps in (CAPS[codec], OPUS):
            self.player.emit(
                "add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps)
            )
        self.player.connect("pad-added", self._pad_added)
        self.player.connect("notify::ice-gathering-state", self._gathered)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.player.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offered))

    def _offered(self, promise: Gst.Promise, *_: object) -> None:
        reply = promise.get_reply()  # owns the offer: it must live until the text is taken
        offer = reply.get_value("offer")
        self.player.emit("set-local-description", _description("OFFER", offer.sdp.as_text()), Gst.Promise.new())

    def _gathered(self, *_: object) -> None:
        if self.player.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._post)

    def _post(self) -> bool:
        offer = self.player.get_property("local-description").sdp.as_text()
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(self.url, offer.encode(), headers)) as reply:
            self.session = reply.headers["Location"]
            answer = reply.read().decode()
        self.player.emit("set-remote-description", _description("ANSWER", answer), Gst.Promise.new())
        return False

    def _pad_added(self, _: object, pad: Gst.Pad) -> None:
        if pad.direction == Gst.PadDirection.SRC:
            decode = Gst.ElementFactory.make("decodebin")
            decode.connect("pad-added", self._decoded)
            self.pipeline.add(decode)
            decode.sync_state_with_parent()
            pad.link(decode.get_static_pad("sink"))

    def _decoded(self, _: object, pad: Gst.Pad) -> None:
        structure = pad.get_current_caps().get_structure(0)
        kind = structure.get_name().partition("/")[0]
        if kind == "video":
            self.seen |= {name: structure.get_int(name)[1] for name in ("width", "height")}
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        sink.set_property("signal-handoffs", True)
        sink.connect("handoff", lambda *_: self.seen.update({kind: self.seen[kind] + 1}))
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def leave(self) -> None:
        url = "/".join(self.url.split("/")[:3]) + self.session
        request = urllib.request.Request(url, method="DELETE", headers={"Authorization": f"Bearer {self.token}"})
        urllib.request.urlopen(request).close()
        self.pipeline.set_state(Gst.State.NULL)


def _description(kind: str, text: str) -> GstWebRTC.WebRTCSessionDescription:
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(getattr(GstWebRTC.WebRTCSDPType, kind), message)


def main() -> None:
    url, token, seconds, codec = sys.argv[1], sys.argv[2], float(sys.argv[3]), (*sys.argv[4:], "H264")[0]
    Gst.init(None)
    loop = GLib.MainLoop()
    player = Player(url, token, codec)
    end_s = time.monotonic() + seconds

    def enough() -> bool:
        if time.monotonic() > end_s or (player.seen["video"] > 60 and player.seen["audio"] > 60):
            loop.quit()
        return True

    GLib.timeout_add(50, enough)
    loop.run()
    if hasattr(player, "session"):
        player.leave()
    print(json.dumps({**player.seen, "codec": codec}))


if __name__ == "__main__":
    main()

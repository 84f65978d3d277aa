"""Receiving through a bad network inside of aiortc's receiver: its buffers are replaced by those that go by the clock.

aiortc asks for a lost video packet once, and then waits until 512 later ones have come. For sound it waits until 16
have, and is as much later from then on. What it cannot decode in time, it queues for ever.
"""

from __future__ import annotations

from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import RtpPacket

from avatar.webrtc.aiortc_patches.decoder_queue import DecoderQueue
from avatar.webrtc.aiortc_patches.jitter_buffers import AudioJitterBuffer, NackGenerator, VideoJitterBuffer
from avatar.webrtc.red import is_red


def patch_receiver(receiver: RTCRtpReceiver) -> DecoderQueue | None:
    """As soon as the receiver's track is there, and before packets come. Returns what waits to be decoded, of video."""
    inside: Any = receiver
    codecs = inside._RTCRtpReceiver__codecs  # by payload type; known later
    buffer: VideoJitterBuffer | AudioJitterBuffer
    decoder_queue = None
    if receiver.track.kind == "video":
        buffer = VideoJitterBuffer()
        inside._RTCRtpReceiver__nack_generator = NackGenerator()
        decoder_queue = DecoderQueue(inside._RTCRtpReceiver__decoder_error)  # which makes aiortc send a PLI
        inside._RTCRtpReceiver__decoder_queue = decoder_queue
    else:
        buffer = AudioJitterBuffer(lambda payload_type: is_red(codecs.get(payload_type)))
    inside._RTCRtpReceiver__jitter_buffer = buffer
    aiortcs_handle_rtp = inside._handle_rtp_packet

    async def handle_rtp(packet: RtpPacket, arrival_time_ms: int) -> None:
        await aiortcs_handle_rtp(packet, arrival_time_ms)  # decodes one frame at most
        for payload_type, frame in buffer.complete_frames():
            codec = codecs.get(payload_type)
            if codec is not None and inside._RTCRtpReceiver__decoder_thread is not None:
                frame.timestamp = inside._RTCRtpReceiver__timestamp_mapper.map(frame.timestamp)
                inside._RTCRtpReceiver__decoder_queue.put((codec, frame))

    inside._handle_rtp_packet = handle_rtp
    return decoder_queue


def decoded_frames(track: MediaStreamTrack) -> int:
    """How many frames of a remote track are decoded and wait for `recv`. 0 of any other track."""
    queue = getattr(track, "_queue", None)
    return queue.qsize() if queue is not None else 0

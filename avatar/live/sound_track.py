"""The sound of the driver's video, put beside the finished pictures of the avatar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from avatar.publish.video_writer import CONTAINERS
from avatar.sources.media import Timeline, open_media, reason, sound_stream, video_stream

_Read = TypeVar("_Read")
Packets = Iterator[tuple[float, "Packet[AudioStream]"]]  # with their times in seconds

AAC_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
AAC_BITS_PER_CHANNEL = 96_000
STEP_S = 0.02  # of a packet that does not say how long it lasts


def add_sound(video: Path, source: Path | None) -> str:
    """Put the index of a finished video first, and beside its pictures the first sound of `source`, if one is given.

    Returns what to say of it. The sound is copied; where the container refuses that, which some do only at the end, it
    is encoded anew; where that fails too, it is left out. The pictures are never lost by it: until all is written,
    `video` stays as it is.
    """
    if source is None:
        failure = _rewrite(video, lambda target: iter(()))
        return f"The index of {video} stays at its end, for which a player may wait: {failure}." if failure else ""
    with open_media(source, "sound") as container:
        codec = sound_stream(container).codec_context.name
    if not (refusal := _rewrite(video, partial(_copied, source))):
        return ""
    if not (failure := _rewrite(video, partial(_as_aac, source))):
        return f"The sound was encoded anew, as AAC: {video.suffix} does not take it as it was ({codec})."
    return f"The sound ({codec}) was left out: copying it failed ({refusal}), and so did AAC ({failure})."


def _rewrite(video: Path, sound: Callable[[OutputContainer], Packets]) -> str:
    """Empty where that could be done, else the reason, and then `video` is as it was."""
    beside = video.with_name(f".{video.stem}.{os.getpid()}.part{video.suffix}")
    kind = CONTAINERS[video.suffix.lower()]
    # the index first, so that a browser can start before it has everything
    options = {} if kind == "matroska" else {"movflags": "+faststart"}
    try:
        with open_media(video) as pictures, av.open(str(beside), "w", format=kind, container_options=options) as target:
            _write(pictures, target, sound)
        beside.replace(video)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return reason(error)
    finally:
        beside.unlink(missing_ok=True)
    return ""


def _write(pictures: InputContainer, target: OutputContainer, sound: Callable[[OutputContainer], Packets]) -> None:
    stream = video_stream(pictures)
    target.metadata.update({name: text for name, text in pictures.metadata.items() if name == "comment"})
    copy = target.add_stream_from_template(stream)
    sounds = sound(target)
    ahead = next(sounds, None)  # its stream is there before the first packet is written
    for picture in pictures.demux(stream):
        if picture.pts is None or picture.time_base is None:
            continue  # the mark at the end
        while ahead is not None and ahead[0] <= picture.pts * picture.time_base:
            target.mux(ahead[1])
            ahead = next(sounds, None)
        picture.stream = copy
        target.mux(picture)
    while ahead is not None:
        target.mux(ahead[1])
        ahead = next(sounds, None)


def _copied(source: Path, target: OutputContainer) -> Packets:
    with open_media(source, "sound") as container:
        stream = sound_stream(container)
        copy = target.add_stream_from_template(stream)
        timeline: Timeline | None = None
        for packet in _readable(container.demux(stream)):
            if packet.dts is None or packet.time_base is None:
                continue
            timeline = timeline or Timeline(container, float((packet.duration or 0) * packet.time_base) or STEP_S)
            time_s = float(packet.dts * packet.time_base)
            placed_s = timeline.place(time_s)
            shift = round((placed_s - time_s) / packet.time_base)
            packet.dts += shift
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.stream = copy
            yield placed_s, packet


def _as_aac(source: Path, target: OutputContainer) -> Packets:
    """One or two channels, from the first sample on without gaps."""
    with open_media(source, "sound") as container:
        stream = sound_stream(container)
        rate = next((rate for rate in AAC_RATES if rate <= stream.rate), AAC_RATES[-1])
        channels = min(stream.channels, 2)
        encoder = target.add_stream("aac", rate=rate)
        encoder.layout = "stereo" if channels == 2 else "mono"
        encoder.bit_rate = AAC_BITS_PER_CHANNEL * channels
        next_pts: int | None = None
        for frame in _resampled(_readable(container.decode(stream)), encoder):
            if next_pts is None:
                next_pts = round((frame.time or 0.0) * rate)
            frame.pts, frame.time_base = next_pts, Fraction(1, rate)
            next_pts += frame.samples
            yield from _timed(encoder.encode(frame))
        yield from _timed(encoder.encode(None))


def _resampled(frames: Iterator[AudioFrame], encoder: AudioStream) -> Iterator[AudioFrame]:
    """In the encoder's format. The first is at its own time; joined files may change rate and channels on the way."""
    resampler, kind = None, None
    for frame in frames:
        if kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            kind = frame.format.name, frame.layout.name, frame.sample_rate
            resampler = av.AudioResampler("fltp", encoder.layout, encoder.rate)
        assert resampler is not None
        yield from resampler.resample(frame)


def _timed(packets: list[Packet[AudioStream]]) -> Packets:
    for packet in packets:
        yield float((packet.dts or 0) * (packet.time_base or 0)), packet


def _readable(read: Iterator[_Read]) -> Iterator[_Read]:
    """Up to where the source is cut off or broken; its pictures end there too, and say so."""
    while True:
        try:
            one = next(read, None)
        except av.error.FFmpegError:
            return
        if one is None:
            return
        yield one

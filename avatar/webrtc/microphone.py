"""A microphone of this computer, or a sound file that plays as one, into `Sound`."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from avatar.core.errors import DeviceError, InputError
from avatar.sources.media import open_media
from avatar.webrtc.sound import CHUNK, RATE, Sound


def open_microphone(spec: str, sound: Sound) -> Microphone | PlayedSound:
    """`spec`: "default", the name or number of an input device, or a file, which is played over and over.

    Raises DeviceError or InputError, which say what to do.
    """
    return PlayedSound(Path(spec), sound) if Path(spec).suffix and Path(spec).exists() else Microphone(spec, sound)


class Microphone:
    """Through PortAudio, 10 ms at a time."""

    def __init__(self, spec: str, sound: Sound) -> None:
        try:
            import sounddevice  # type: ignore[import-untyped]
        except (ImportError, OSError) as error:  # OSError: its own library is missing
            raise DeviceError(
                f"No microphone can be opened here: {error}. On Debian: sudo apt-get install libportaudio2. "
                "Or use the page's microphone."
            ) from error
        device = None if spec == "default" else int(spec) if spec.isdecimal() else spec
        self._sound = sound
        try:
            self._stream: Any = sounddevice.InputStream(
                samplerate=RATE,
                blocksize=CHUNK // 2,
                device=device,
                channels=1,
                dtype="int16",
                latency="low",
                callback=self._heard,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            names = [found["name"] for found in sounddevice.query_devices() if found["max_input_channels"]]
            there = f"There is {', '.join(names)}." if names else "This computer shows no microphone at all."
            raise DeviceError(f"The microphone {spec!r} does not open: {error}. {there}") from error

    def _heard(self, samples: Any, count: int, when: Any, _status: Any) -> None:
        now_ns = time.monotonic_ns()
        age_s = when.currentTime - when.inputBufferAdcTime
        age_ns = round(age_s * 1e9) if 0 < age_s < 1 else count * 1_000_000_000 // RATE
        self._sound.put(samples[:, 0].copy(), now_ns - age_ns, now_ns)

    def close(self) -> None:
        self._stream.close()


class PlayedSound:
    """A file's sound at its own pace."""

    def __init__(self, path: Path, sound: Sound) -> None:
        self._samples = _read(path)
        self._sound = sound
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name="visavis-sound", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        start_ns, position = time.monotonic_ns(), 0
        while not self._over.is_set():
            chunk = self._samples[np.arange(position, position + CHUNK) % len(self._samples)]
            captured_ns = start_ns + position * 1_000_000_000 // RATE
            position += CHUNK
            due_s = (start_ns + position * 1_000_000_000 // RATE - time.monotonic_ns()) / 1e9
            if due_s > 0 and self._over.wait(due_s):
                break
            self._sound.put(chunk, captured_ns)


def _read(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """(n,) samples, at most ten minutes of them."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    parts: list[Any] = []
    with open_media(path, "sound") as container:
        try:
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray().ravel() for part in resampler.resample(frame)]
                if sum(map(len, parts[-1:])) * len(parts) > RATE * 600:
                    break
        except av.FFmpegError as error:
            if not parts:
                raise InputError(f"{path} holds no sound that can be read ({error.strerror}).") from error
    if not parts:
        raise InputError(f"{path} holds no sound.")
    return np.concatenate(parts).astype(np.int16)

"""Inputs that the tests make for themselves: clips of scikit-image's astronaut, moving, and broken files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from avatar.core.arrays import Picture
from avatar.core.avatar import Avatar
from avatar.core.model_files import MODEL_ID, model_file
from avatar.face.crop import face_crop
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.gaps import mouth_width, set_mouth_gaps
from avatar.face.head_pose import HeadPose, head_pose
from avatar.face.regions import INNER_LIP_PAIRS
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.embedding import embed
from avatar.render.engine_options import EngineOptions
from avatar.render.painter import open_painter
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from engines import open_engine
from tests.portraits import astronaut

GREEN = np.array([0, 255, 0], np.uint8)
TONE_HZ = 48_000


def moving_face(index: int, width: int = 320, height: int = 240) -> Picture:
    """(height, width, 3): the astronaut's head, swaying, nodding and coming nearer, as frame `index` of a clip."""
    portrait = astronaut()[0:256, 96:352]
    scale = height / 256 * (1 + 0.1 * math.sin(index / 13))
    turn = np.asarray(cv2.getRotationMatrix2D((128, 128), 6 * math.sin(index / 9), scale), np.float64)
    turn[:, 2] += (width / 2 - 128 + 14 * math.sin(index / 6), height / 2 - 128 + 6 * math.sin(index / 7))
    return np.asarray(cv2.warpAffine(portrait, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def painted(picture: Picture) -> Picture:
    """With a pure green frame and a green block: a pattern that no avatar has."""
    marked = picture.copy()
    edge = picture.shape[0] // 10
    marked[:edge] = marked[-edge:] = GREEN
    marked[:, :edge] = marked[:, -edge:] = GREEN
    marked[-3 * edge :, : 3 * edge] = GREEN
    return marked


def green_share(picture: Picture) -> float:
    """Share of the pixels that are clearly green."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return float(np.mean((green - np.maximum(red, blue)) > 60))


def write_clip(
    path: Path,
    pictures: Iterable[Picture],
    fps: int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    sound: bool = False,
    options: dict[str, str] | None = None,
    pixel_aspect: Fraction = Fraction(1),
) -> Path:
    """Encode pictures, at `pts` in `time_base` where given; `rotation` is stored as metadata; `sound` is a tone."""
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "ultrafast"})
        speaker = container.add_stream("aac", rate=TONE_HZ) if sound else None
        if time_base:
            stream.codec_context.time_base = stream.time_base = time_base
        count = 0
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv420p", pixel_aspect
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = pts[index] if pts else index
            frame.time_base = time_base or Fraction(1, fps)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
        if speaker is not None:
            for sound_frame in tone(count / fps):
                container.mux(speaker.encode(sound_frame))
            container.mux(speaker.encode(None))
    return path


def tone(seconds: float) -> Iterator[av.AudioFrame]:
    samples = (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * TONE_HZ)) / TONE_HZ)).astype(np.float32)
    for start in range(0, len(samples) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = TONE_HZ, start, Fraction(1, TONE_HZ)
        yield frame


def face_clip(path: Path, frames: int = 30, change: Callable[[Picture], Picture] = lambda p: p, **how: object) -> Path:
    """A clip of `moving_face`; `how` goes to `write_clip`."""
    return write_clip(path, (change(moving_face(i)) for i in range(frames)), **how)  # type: ignore[arg-type]


def read_times(path: Path) -> list[float]:
    """Presentation times in seconds of all pictures of a file."""
    return [round(frame.media_s, 4) for frame in VideoFile(path)]


def packets(path: Path, kind: str) -> list[bytes]:
    """The undecoded packets of the file's first stream of a kind ("audio")."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.dts is not None]


@lru_cache(maxsize=1)
def astronaut_avatar() -> Avatar:
    """The astronaut, enrolled from one photo with the shipped networks."""
    rgb = astronaut()
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        state = tracker.track(rgb, 0)
    crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
    portraits, landmarks = crop.cut(rgb)[None], crop.normalise(state.landmarks)[None]
    embedder = open_engine(model_file("fast-3/embedder.onnx"))
    embedding = embed(embedder, portraits, landmarks)
    embedder.close()
    return Avatar("astronaut", MODEL_ID, portraits, landmarks, state.blendshapes[None], embedding)


@lru_cache(maxsize=32)
def acted_face(yaw_deg: float = 0.0, pitch_deg: float = 0.0, mouth: float = 0.0, smile: float = 0.0) -> Picture:
    """(512, 512, 3): the astronaut's avatar, turned to the picture's right, looking up, its lips `mouth` of the mouth's
    width apart, its smile stronger than hers by `smile`.
    """
    avatar = astronaut_avatar()
    pose = head_pose(avatar.landmarks[0], face_model().mean_shape)
    shape = pose.remove(avatar.landmarks[0])
    scores = np.zeros(len(face_model().expression_basis), np.float32)
    scores[[BLENDSHAPE_INDEX["mouthSmileLeft"], BLENDSHAPE_INDEX["mouthSmileRight"]]] = smile
    shape = shape + face_model().expression(scores)
    arch = np.sin(np.linspace(0.1, np.pi - 0.1, len(INNER_LIP_PAIRS)))
    shape = set_mouth_gaps(shape, np.asarray(mouth * mouth_width(shape) * arch, np.float32))
    (c, s), (d, t) = ((math.cos(math.radians(a)), math.sin(math.radians(a))) for a in (yaw_deg, pitch_deg))
    turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) @ np.array([[1, 0, 0], [0, d, t], [0, -t, d]])
    posed = HeadPose((turn @ pose.rotation).astype(np.float32), pose.scale, pose.translation)
    engine = EngineOptions().open(avatar)
    picture = open_painter(avatar, engine).render(Driving(posed.apply(shape), 0))
    engine.close()
    return picture

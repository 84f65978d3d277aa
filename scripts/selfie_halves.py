"""What a selfie clip and fine-tuning bring: enrol from a clip's first half, drive with its second half, compare.

    python scripts/selfie_halves.py CLIP [CLIP ...] --minutes 5

Three avatars stand beside the truth: the clip's best frame alone (T = 1), the frames that `visavis enroll --video`
chooses, and these after `visavis finetune`. Driven by the second half's own landmarks (absolute motion).
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.core.frame import Frame
from avatar.evaluation.face_crops import mouth_crop
from avatar.evaluation.feature_distance import FeatureDistance, efficientnet_lite0, vgg16_hed
from avatar.face.crop import Crop, face_crop
from avatar.face.driving import Driving
from avatar.identity.clip_enrolment import SelfieClip, enroll_clip
from avatar.learning.finetune import finetune
from avatar.render.embedding import embed, open_embedder
from avatar.render.engine_options import EngineOptions
from avatar.render.painter import open_painter
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

SIZE_PX, TARGETS, SHOWN = 256, 40, 6
Pictures = NDArray[np.uint8]


def compare(clip: Path, minutes: float, networks: list[FeatureDistance], output: Path) -> None:
    model = tracker_model()
    frames = list(VideoFile(clip))
    half = (frames[0].media_s + frames[-1].media_s) / 2
    first = [frame for frame in frames if frame.media_s < half]
    report = enroll_clip(SelfieClip(first, clip.name), "selfie", model)
    many = report.avatar
    with open_embedder() as embedder:
        embedding = embed(embedder, many.portraits[:1], many.landmarks[:1])
    one = replace(
        many, portraits=many.portraits[:1], landmarks=many.landmarks[:1], blendshapes=many.blendshapes[:1],
        embedding=embedding, mattes=many.mattes[:1], descriptors=many.descriptors[:1],
    )  # fmt: skip
    print(
        f"{clip.name}: {len(many.portraits)} frames enrolled; missing: {', '.join(report.coverage.missing) or 'none'}"
    )
    tuned = finetune(many, minutes=minutes)
    kept = "kept" if tuned.kept else f"not kept: {tuned.reason}"
    print(f"  fine-tuned: {tuned.steps} steps in {tuned.seconds:.0f} s, {kept}")

    with CagedTracker(model, "video", patient=True) as tracker:
        states = [tracker.track(frame.rgb, round(frame.media_s * 1e9)) for frame in frames]
    start = len(first)
    seen = [i for i in range(start, len(frames)) if states[i].found]
    seen = [seen[i] for i in np.linspace(0, len(seen) - 1, min(TARGETS, len(seen))).round().astype(int)]
    stamp = report.frames[0].capture_ns
    crop = face_crop(states[_at(frames, stamp)].landmarks, frames[0].width, frames[0].height)
    crop = _refined(crop, states[_at(frames, stamp)].landmarks, many.landmarks[0])
    true = np.stack([crop.cut(frames[i].rgb, SIZE_PX) for i in seen])
    landmarks = np.stack([crop.normalise(states[i].landmarks) for i in seen])
    named = {"T = 1": one, f"T = {len(many.portraits)}": many, "fine-tuned": tuned.avatar}
    drawn = {name: _draw(avatar, landmarks) for name, avatar in named.items()}
    for network in networks:
        whole = {k: v.mean() for k, v in network.compare(true, drawn).distances.items()}
        mouths = {name: _mouths(pictures, landmarks) for name, pictures in drawn.items()}
        mouth = {k: v.mean() for k, v in network.compare(_mouths(true, landmarks), mouths).distances.items()}
        for region, figures in (("whole picture", whole), ("mouth", mouth)):
            base = figures["T = 1"]
            told = "  ".join(f"{name} {value:.4f} ({value / base - 1:+.0%})" for name, value in figures.items())
            print(f"  {network.name}, {region}: {told}", flush=True)
    shown = np.linspace(0, len(seen) - 1, SHOWN).round().astype(int)
    rows = [np.concatenate([true[i], *(pictures[i] for pictures in drawn.values())], axis=1) for i in shown]
    Image.fromarray(np.concatenate(rows)).save(output)
    print(f"  wrote {output}: truth, {', '.join(drawn)}")


def _mouths(pictures: Pictures, landmarks: NDArray[np.float32]) -> Pictures:
    return np.stack([mouth_crop(p, points * SIZE_PX) for p, points in zip(pictures, landmarks, strict=True)])


def _at(frames: list[Frame], stamp_ns: int) -> int:
    return int(np.argmin([abs(frame.media_s * 1e9 - stamp_ns) for frame in frames]))


def _refined(crop: Crop, pixels: NDArray[np.float32], normalised: NDArray[np.float32]) -> Crop:
    """The crop that maps the frame's landmarks onto the portrait's."""
    side = float(np.ptp(pixels[:, :2], axis=0).mean() / np.ptp(normalised[:, :2], axis=0).mean())
    x, y = (pixels[:, :2] - normalised[:, :2] * side).mean(0)
    return replace(crop, x=float(x), y=float(y), side=side)  # type: ignore[arg-type]  # between pixels, for once


def _draw(avatar: Avatar, landmarks: NDArray[np.float32]) -> Pictures:
    engine = EngineOptions().open(avatar)
    try:
        painter = open_painter(avatar, engine, patient=True)
        drawn = [painter.render(Driving(points, i * 1_000_000_000)) for i, points in enumerate(landmarks)]
    finally:
        engine.close()
    return np.stack([cv2.resize(p, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA) for p in drawn])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=5.0, help="of fine-tuning for each clip")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for the pictures")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        networks = [efficientnet_lite0(), vgg16_hed()]
        for clip in arguments.clips:
            compare(clip, arguments.minutes, networks, arguments.output / f"{clip.stem}_halves.png")
    except VisavisError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

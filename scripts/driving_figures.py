"""How the avatar moves, in numbers: rest noise, lag, blinks, steadiness of size, cost; beside another tree's.

    python scripts/driving_figures.py talk.mp4 other.mp4
    python scripts/driving_figures.py talk.mp4 --against ../visavis-before --json

The clips are tracked once, and driven by each tree's Retargeter. For rest noise, the calmest frame of each clip becomes
eight seconds of a webcam that films a statue: enlarged to 640x480, with sensor noise in each frame, as MJPEG.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, VisavisError
from avatar.face.crop import face_crop
from avatar.face.face_model import face_model
from avatar.face.gaps import gaps
from avatar.face.head_pose import head_pose
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_LID_PAIRS, RIGHT_LID_PAIRS
from avatar.face.state import FaceState
from avatar.retarget.retargeter import Retargeter
from avatar.sources.photo import load_photo
from avatar.sources.video_file import VideoFile
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model

PICTURE_PX = 512
REST_S, REST_FPS = 8.0, 30.0
SETTLE_S = 2.0  # left out of every figure
SHUT = 0.25  # openness, in shares of that at rest, below which the generator draws shut lids
Array = NDArray[np.float64]


def track(path: Path, tracker: CagedTracker) -> tuple[list[FaceState], list[NDArray[np.uint8]]]:
    video = VideoFile(path)
    frames = [(frame.rgb, round((frame.media_s - video.first_media_s) * 1e9)) for frame in video]
    states = [tracker.track(rgb, capture_ns) for rgb, capture_ns in frames]
    if sum(state.found for state in states) < 2 * SETTLE_S * 25:
        raise InputError(f"{path} shows too little of a face; give a clip of {2 * SETTLE_S:g} seconds at least.")
    return states, [rgb for rgb, _ in frames]


def statue(states: list[FaceState], frames: list[NDArray[np.uint8]], tracker: CagedTracker) -> list[FaceState]:
    """What the tracker makes of the calmest frame, filmed by a webcam in a room with ordinary light."""

    def unrest(i: int) -> float:
        names = "jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft"
        return sum(states[i].blendshape(name) for name in names) if states[i].found else np.inf

    calm = frames[min(range(len(states)), key=unrest)]
    scale = 480 / calm.shape[0]
    large = cv2.resize(calm, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[:, :640]
    side = (640 - large.shape[1]) // 2
    scene = cv2.copyMakeBorder(large, 0, 0, side, side, cv2.BORDER_REPLICATE).astype(np.float32)
    rng, seen = np.random.default_rng(0), []
    for i in range(round(REST_S * REST_FPS)):
        noisy = scene + rng.normal(0, 1, scene.shape) * (2 + 0.25 * np.sqrt(scene))  # read noise and photons
        _, jpeg = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])
        filmed = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
        seen.append(tracker.track(filmed, round(i / REST_FPS * 1e9)))
    return seen


def photo_avatar(photo: Path | None) -> dict[str, NDArray[np.float32]]:
    """Landmarks and blendshapes of a portrait: all of an avatar that retargeting looks at."""
    if photo is None:
        from skimage.data import astronaut

        rgb = np.asarray(astronaut(), np.uint8)
    else:
        rgb = load_photo(photo)
    with CagedTracker(tracker_model(), "image", patient=True) as tracker:
        state = tracker.track(rgb, 0)
    crop = face_crop(state.landmarks, rgb.shape[1], rgb.shape[0])
    return {"landmarks": crop.normalise(state.landmarks)[None], "blendshapes": state.blendshapes[None]}


class Track:
    """A driver's clip and what an avatar made of it, as signals over time."""

    def __init__(self, avatar: Avatar, states: list[FaceState]) -> None:
        retargeter = Retargeter(avatar)
        retargeter.frame_crop = face_crop(states[0].landmarks, 10_000, 10_000)
        mean = face_model().mean_shape
        points, elapsed_s = [], []
        for state in states:
            start_ns = time.perf_counter_ns()
            points.append(retargeter.drive(state).landmarks)
            elapsed_s.append((time.perf_counter_ns() - start_ns) / 1e9)
        self.landmarks = np.stack(points)
        self.time_s = np.array([state.capture_ns for state in states]) / 1e9
        self.ms_per_frame = 1e3 * float(np.median(elapsed_s))
        self.settled = self.time_s >= SETTLE_S
        self.driver = _signals([state.landmarks for state in states], mean)
        self.avatar = _signals(points, mean)
        self.scores = np.array(
            [[state.blendshape("eyeBlinkRight"), state.blendshape("eyeBlinkLeft")] for state in states]
        )

    def noise_px(self) -> float:
        """Root mean square way of a landmark from its mean place."""
        places = self.landmarks[self.settled, :, :2] * PICTURE_PX
        return float(np.sqrt(((places - places.mean(0)) ** 2).sum(2).mean()))

    def flicker_px(self) -> float:
        """Root mean square way of a landmark from one frame to the next."""
        places = self.landmarks[self.settled, :, :2] * PICTURE_PX
        return float(np.sqrt((np.diff(places, axis=0) ** 2).sum(2).mean()))

    def lag_ms(self, signal: str) -> float:
        """The delay at which the avatar's signal is most like the driver's."""
        driver, avatar = self.driver[signal][self.settled], self.avatar[signal][self.settled]
        time_s = self.time_s[self.settled]
        fine = np.arange(time_s[0] + 0.2, time_s[-1] - 0.2, 0.002)
        driver, shown = CubicSpline(time_s, driver)(fine), CubicSpline(time_s, avatar)
        delays = np.arange(-0.04, 0.2, 0.001)
        return 1e3 * float(delays[np.argmax([np.corrcoef(driver, shown(fine + delay))[0, 1] for delay in delays])])

    def blinks(self) -> list[tuple[float, float]]:
        """Of each blink of the driver, how far the avatar's right and left eye were open at most shut (1: as at rest).

        A blink: lids of both eyes together, by landmarks or scores, if the head is about straight.
        """
        lids = np.stack([self.driver["right eye"], self.driver["left eye"]], 1)
        lids = lids / np.median(lids, axis=0)
        shut = (lids.mean(1) < 0.45) & (self.scores.mean(1) > 0.38) & (np.abs(self.driver["yaw"]) < 0.4) & self.settled
        starts = np.flatnonzero(shut & ~np.roll(shut, 1))
        eyes = np.stack([self.avatar["right eye"], self.avatar["left eye"]], 1)
        eyes = eyes / np.median(eyes, axis=0)
        found = []
        for start in starts:
            end = start + int(np.argmin(shut[start:])) if not shut[start:].all() else len(shut)
            found.append(tuple(float(x) for x in eyes[max(start - 1, 0) : end + 2].min(0)))
        return [(right, left) for right, left in found]

    def pumping_percent(self) -> float:
        """Standard deviation of the avatar's size around its mean over one second."""
        size = self.avatar["size"][self.settled]
        width = max(3, round(1 / float(np.median(np.diff(self.time_s)))) | 1)
        slow = np.convolve(np.pad(size, width // 2, "edge"), np.ones(width) / width, "valid")
        return 100 * float((size - slow).std())


def _signals(faces: list[NDArray[np.float32]], mean: NDArray[np.float32]) -> dict[str, Array]:
    poses = [head_pose(face, mean) for face in faces]
    shapes = [pose.remove(face) for pose, face in zip(poses, faces, strict=True)]
    return {
        "mouth": np.array([gaps(shape, INNER_LIP_PAIRS).max() for shape in shapes], np.float64),
        "right eye": np.array([gaps(shape, RIGHT_LID_PAIRS).mean() for shape in shapes], np.float64),
        "left eye": np.array([gaps(shape, LEFT_LID_PAIRS).mean() for shape in shapes], np.float64),
        "yaw": np.array([pose.rotation[0, 2] for pose in poses], np.float64),
        "size": np.log([pose.scale for pose in poses]),
    }


def figures(avatar: Avatar, clips: dict[str, list[FaceState]], statues: dict[str, list[FaceState]]) -> dict[str, float]:
    moving = [Track(avatar, states) for states in clips.values()]
    resting = [Track(avatar, states) for states in statues.values()]
    blinks = np.array([blink for track in moving for blink in track.blinks()]).reshape(-1, 2)
    return {
        "rest noise, px of 512": float(np.mean([track.noise_px() for track in resting])),
        "rest flicker from frame to frame, px": float(np.mean([track.flicker_px() for track in resting])),
        "lag of the mouth, ms": float(np.mean([track.lag_ms("mouth") for track in moving])),
        "lag of the head's turn, ms": float(np.mean([track.lag_ms("yaw") for track in moving])),
        "size at unrest while talking, %": float(np.mean([track.pumping_percent() for track in moving])),
        "blinks": len(blinks),
        "blinks with both eyes shut, %": 100 * float((blinks.max(1) < SHUT).mean()) if len(blinks) else float("nan"),
        "openness at a blink's deepest, %": 100 * float(blinks.mean()) if len(blinks) else float("nan"),
        "difference of the eyes there, %": 100 * float(np.abs(np.diff(blinks)).mean()) if len(blinks) else float("nan"),
        "retargeting, ms a frame": float(np.median([track.ms_per_frame for track in moving])),
    }


def save(path: Path, avatar: dict[str, NDArray[np.float32]], tracks: dict[str, list[FaceState]]) -> None:
    arrays: dict[str, NDArray[np.generic]] = {f"avatar/{name}": values for name, values in avatar.items()}
    for name, states in tracks.items():
        kept = [state for state in states if state.found]
        for part in ("landmarks", "blendshapes", "pose", "confidence", "capture_ns"):
            arrays[f"{name}/{part}"] = np.stack([getattr(state, part) for state in kept])
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> tuple[Avatar, dict[str, list[FaceState]], dict[str, list[FaceState]]]:
    """What `save` wrote: an avatar, moving and resting drivers."""
    with np.load(path) as arrays:
        tracks: dict[str, list[FaceState]] = {}
        for name in sorted({key.rsplit("/", 1)[0] for key in arrays} - {"avatar"}):
            parts = (
                arrays[f"{name}/{part}"] for part in ("landmarks", "blendshapes", "pose", "confidence", "capture_ns")
            )
            tracks[name] = [
                FaceState(landmarks, scores, pose, float(confidence), int(capture_ns))
                for landmarks, scores, pose, confidence, capture_ns in zip(*parts, strict=True)
            ]
        nothing = np.zeros((1, 4, 4, 3), np.uint8)
        avatar = Avatar(
            "figures", "none", nothing, arrays["avatar/landmarks"], arrays["avatar/blendshapes"],
            np.zeros(512, np.float32), np.zeros(0, np.float32),
        )  # fmt: skip
    by_kind = {kind: {n: s for n, s in tracks.items() if n.startswith(kind)} for kind in ("clip", "statue")}
    return avatar, by_kind["clip"], by_kind["statue"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="*", help="talking people, filmed as a webcam does")
    parser.add_argument("--photo", type=Path, help="the avatar's portrait (default: scikit-image's astronaut)")
    parser.add_argument("--against", type=Path, help="another tree of visavis, whose figures stand beside")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tracked", type=Path, help=argparse.SUPPRESS)  # how this script calls itself in another tree
    arguments = parser.parse_args()
    if arguments.tracked:
        print(json.dumps(figures(*load(arguments.tracked))))
        return
    if not arguments.clips:
        parser.error("give at least one clip")
    try:
        model = tracker_model()
        tracks: dict[str, list[FaceState]] = {}
        for path in arguments.clips:
            with CagedTracker(model, "video", patient=True) as tracker:
                states, frames = track(path, tracker)
            with CagedTracker(model, "video", patient=True) as tracker:
                tracks[f"statue {path.stem}"] = statue(states, frames, tracker)
            tracks[f"clip {path.stem}"] = states
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "tracks.npz"
            save(file, photo_avatar(arguments.photo), tracks)
            trees = {"this tree": Path(__file__).parents[1]}
            if arguments.against:
                trees = {"before": arguments.against.resolve(), **trees}
            results = {}
            for name, tree in trees.items():
                command = [sys.executable, __file__, "--tracked", str(file)]
                done = subprocess.run(
                    command, env={**os.environ, "PYTHONPATH": str(tree)}, check=True, capture_output=True, text=True
                )
                results[name] = json.loads(done.stdout)
    except VisavisError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    names = list(results)
    print(" " * 40 + "".join(f"{name:>12}" for name in names))
    for figure in results[names[0]]:
        print(f"{figure:<40}" + "".join(f"{results[name][figure]:>12.2f}" for name in names))


if __name__ == "__main__":
    main()

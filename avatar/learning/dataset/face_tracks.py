"""One source file to tracks: stretches of frames that show one face, cropped, tracked and fit to learn from."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError
from avatar.face.crop import Crop, face_crop
from avatar.face.state import FaceState, Tracker
from avatar.identity.clip_turn import find_turn
from avatar.identity.face_identity import DIFFERENT_PEOPLE, distance
from avatar.identity.face_search import find_faces, size_px
from avatar.identity.photo_check import MAX_YAW_DEG, MIN_FACE_PX, MIN_SHARPNESS, SECOND_FACE_SHARE, check_face
from avatar.learning.dataset.face_figures import histograms
from avatar.learning.dataset.pack import PICTURE_SIZE_PX
from avatar.learning.dataset.padding import content_box
from avatar.learning.dataset.sampled_video import SampledVideo
from avatar.learning.dataset.worker_tools import clip_tracker, face_identity, photo_reader, photo_tracker
from avatar.sources.video_file import VideoFile
from avatar.tracking.cage_wire import Answer

# why a frame, or a whole file, is not used
UNREADABLE = "unreadable file"
CRASHED = "crashed the reader"
KILLED = "killed the process that read it"
DAMAGED = "damaged, used in part"
NO_FACE = "no face"
SEVERAL_FACES = "several faces of similar size"
SMALL_FACE = "face too small"
TURNED = "head turned too far"
BLURRED = "face blurred"
LEAVES_CROP = "head leaves the crop"
PADDED = "padding in the crop"
NEAR_STILL = "hardly differs from the frame before"
TOO_SHORT = "track too short"
OTHER_PERSON = "another person"

# Set on 2,750 frames of 31 clips (GRID, VoxCeleb2, two webcams), 80 ms apart
CUT_LIKENESS = 0.55  # least correlation of a face with itself in the frame before (5 of 1,312 are below), and more than
# a face has with other faces, or with itself after a cut (96 % are below)
CUT_JUMP = 0.5  # sizes of the face that its centre moves (the farthest: 0.22)
CUT_ZOOM = 1.5
GAP_S = 0.4  # without a face, or without one that will do
STILL_MOVE = 0.001  # mean movement of the landmarks in the crop since the last frame taken: a quarter of a pixel of 256
STILL_CHANGE = 0.02  # of the blendshape that changes most; 3 % of frames are below both
MOST_PADDED = 90  # percentile of the bars' widths that a clip's crop keeps clear of: frames with more are dropped
OUTSIDE = 0.05  # of the crop's side that landmarks may stand out
MAX_PHOTO_FACES = 4
_CHIP_PX = 24


@dataclass(frozen=True, slots=True)
class TrackRules:
    """What a track must be. Changing one changes the data set."""

    fps: float = 12.5  # frames taken of a clip: neighbours at 25 teach the same thing
    min_face_px: int = MIN_FACE_PX
    min_frames: int = 6  # of a clip's track
    max_turn_deg: float = MAX_YAW_DEG  # to the side, up or down
    jpeg_quality: int = 95  # always 4:4:4: at half the chroma, lips bleed


@dataclass(frozen=True)
class Track:
    """N frames of one face in one fixed crop. A still is a track of one."""

    jpegs: list[bytes]
    landmarks: Array  # (N, 478, 3) in [0, 1] of the crop
    blendshapes: Array  # (N, 52)
    times_s: list[float]
    is_clip: bool
    about: dict[str, Any]  # crop, size of the picture

    def __len__(self) -> int:
        return len(self.jpegs)


@dataclass
class Outcome:
    """What became of one file. `refusal`: why nothing of it is used."""

    tracks: list[Track] = field(default_factory=list)
    seen: int = 0  # frames looked at
    dropped: Counter[str] = field(default_factory=Counter)  # frames by reason
    cuts: int = 0
    histograms: dict[str, list[int]] = field(default_factory=dict)  # of the tracks' frames, see face_figures
    damage: str | None = None
    refusal: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One frame of a clip with a face that will do."""

    number: int
    time_s: float
    landmarks: Array  # (478, 3) in pixels
    blendshapes: Array
    chip: Array  # (24, 24) of mean 0 and norm 1
    picture_px: tuple[int, int]  # width, height
    content: tuple[int, int, int, int]  # left, top, right, bottom of what is not padding
    unfit: str | None


def file_tracks(
    path: Path, is_video: bool, rules: TrackRules, model: Path, start_s: float = 0.0, end_s: float | None = None
) -> Outcome:
    """What becomes of a photo or a video; of a long video, of its part from `start_s` up to `end_s`."""
    if is_video:
        outcome = clip_tracks(path, rules, model, start_s, end_s)
    else:
        outcome = photo_tracks(path, rules, photo_tracker(model, MAX_PHOTO_FACES))
    if outcome.tracks:
        landmarks, blendshapes = (
            np.concatenate(arrays)
            for arrays in zip(*((t.landmarks, t.blendshapes) for t in outcome.tracks), strict=True)
        )
        outcome.histograms = histograms(landmarks, blendshapes)
    return outcome


def photo_tracks(path: Path, rules: TrackRules, tracker: Tracker) -> Outcome:
    """`tracker`: image mode, max_faces 4 or so."""
    outcome = Outcome()
    try:
        rgb = photo_reader().load(path)
    except InputError as error:
        return _refused(outcome, UNREADABLE, _without(path, str(error)))
    outcome.seen = 1
    turned_deg, rgb, faces = find_faces(rgb, tracker)
    if not faces:
        return _refused(outcome, NO_FACE)
    if len(faces) > 1 and size_px(faces[1]) >= SECOND_FACE_SHARE * size_px(faces[0]):
        return _refused(outcome, SEVERAL_FACES)
    face = faces[0]
    height, width = rgb.shape[:2]
    if unfit := _unfit(rgb, face, rules):
        return _refused(outcome, *unfit)
    crop = _crop_within(content_box(rgb), face.landmarks)
    points = crop.normalise(face.landmarks)
    if leaves_crop(points):
        return _refused(outcome, LEAVES_CROP)
    about: dict[str, Any] = _about(crop, width, height) | {"turned_deg": turned_deg}
    shapes = face.blendshapes[None]
    jpegs = [_jpeg(crop.cut(rgb, PICTURE_SIZE_PX), rules.jpeg_quality)]
    outcome.tracks = [Track(jpegs, points[None], shapes, [0.0], False, about)]
    return outcome


def clip_tracks(
    path: Path, rules: TrackRules, model: Path, start_s: float = 0.0, end_s: float | None = None
) -> Outcome:
    """The tracks of a video, or of its part from `start_s` up to `end_s`. Decodes twice: to track, then to cut."""
    outcome = Outcome()
    seen: list[_Seen] = []
    try:
        turned_deg = find_turn(VideoFile(path), photo_tracker(model, MAX_PHOTO_FACES))
        video = SampledVideo(path, rules.fps, start_s, end_s, turned_deg)
        tracker = clip_tracker(model)
        for number, time_s, rgb in video:
            outcome.seen += 1
            answer = tracker.track_all(rgb, round(time_s * 1e9))
            face = answer.face
            if not face.found:
                outcome.dropped[NO_FACE] += 1
                continue
            unfit = SEVERAL_FACES if _has_rival(answer) else (_unfit(rgb, face, rules) or (None,))[0]
            chip = _chip(rgb, face.landmarks)
            size = (rgb.shape[1], rgb.shape[0])
            seen.append(_Seen(number, time_s, face.landmarks, face.blendshapes, chip, size, content_box(rgb), unfit))
        outcome.damage = _without(path, video.damage) if video.damage else None
        stretches = _stretches(seen)
        outcome.cuts = max(0, len(stretches) - 1)
        chosen = [kept for stretch in stretches if (kept := _chosen(stretch, rules, outcome.dropped))]
        tracks = _cut(SampledVideo(path, rules.fps, start_s, end_s, turned_deg), chosen, rules)
        for track in tracks:
            track.about["turned_deg"] = turned_deg
        outcome.tracks = _of_one_person(tracks, outcome.dropped)
    except InputError as error:
        return _refused(outcome, UNREADABLE, _without(path, str(error)))
    if outcome.seen == 0:
        return _refused(outcome, UNREADABLE, outcome.damage or f"no picture from {start_s:.0f} s on")
    if not outcome.tracks:
        most, count = max(outcome.dropped.items(), key=lambda item: (item[1], item[0]))
        return _refused(outcome, most, f"{count} of {outcome.seen} frames")
    return outcome


def _has_rival(answer: Answer) -> bool:
    """Whether another face, not the same one found twice, is about as large: it is unclear then who is meant."""
    size, centre = size_px(answer.face), _centre(answer.face.landmarks)
    return any(
        float((high - low).max()) >= SECOND_FACE_SHARE * size
        and float(np.linalg.norm((low + high) / 2 - centre)) > size / 2
        for low, high in answer.others
    )


def _unfit(rgb: Picture, face: FaceState, rules: TrackRules) -> tuple[str, str] | None:
    """(reason, figures) where the face is no good to learn from."""
    check = check_face(rgb, face, face_crop(face.landmarks, rgb.shape[1], rgb.shape[0]))
    if check.face_px < rules.min_face_px:
        return SMALL_FACE, f"{check.face_px:.0f} px, at least {rules.min_face_px} are asked for"
    turn_deg = max(abs(check.yaw_deg), abs(check.pitch_deg))
    if turn_deg > rules.max_turn_deg:
        return TURNED, f"{turn_deg:.0f}°, at most {rules.max_turn_deg:.0f}° are asked for"
    if check.sharpness < MIN_SHARPNESS:
        return BLURRED, f"sharpness {check.sharpness:.4f}, at least {MIN_SHARPNESS}"
    return None


def _stretches(seen: list[_Seen]) -> list[list[_Seen]]:
    """Split at shot cuts and where the face was away."""
    stretches: list[list[_Seen]] = []
    for before, now in zip([None, *seen], seen, strict=False):
        if before is None or _is_cut(before, now):
            stretches.append([])
        stretches[-1].append(now)
    return stretches


def _is_cut(before: _Seen, now: _Seen) -> bool:
    if now.time_s - before.time_s > GAP_S or now.picture_px != before.picture_px:
        return True
    sizes = [float(np.ptp(face.landmarks[:, :2], axis=0).max()) for face in (before, now)]
    jump = float(np.linalg.norm(_centre(now.landmarks) - _centre(before.landmarks))) / max(sizes)
    return jump > CUT_JUMP or max(sizes) > CUT_ZOOM * min(sizes) or float((before.chip * now.chip).sum()) < CUT_LIKENESS


def _chosen(stretch: list[_Seen], rules: TrackRules, dropped: Counter[str]) -> tuple[Crop, list[_Seen]] | None:
    """The stretch's crop and the frames to keep; why the others go is counted in `dropped`."""
    fit = [face for face in stretch if face.unfit is None]
    dropped.update(face.unfit for face in stretch if face.unfit is not None)
    if not fit:
        return None
    # the middle of where the head is, so that as few frames as possible leave it
    lows, highs = (np.stack([side(f.landmarks[:, :2], axis=0) for f in fit]) for side in (np.min, np.max))
    boxes = np.array([f.content for f in fit])
    left, top = (int(np.percentile(boxes[:, i], MOST_PADDED, method="higher")) for i in (0, 1))
    right, bottom = (int(np.percentile(boxes[:, i], 100 - MOST_PADDED, method="lower")) for i in (2, 3))
    head = np.stack([np.median(lows, axis=0), np.median(highs, axis=0)])
    crop = _crop_within((left, top, right, bottom), head)
    kept: list[_Seen] = []
    last: Array | None = None
    for face in fit:
        points = crop.normalise(face.landmarks)
        if leaves_crop(points):
            dropped[LEAVES_CROP] += 1
        elif _is_padded(crop, face.content):
            dropped[PADDED] += 1
        elif last is not None and _hardly_differs(points, last, face.blendshapes, kept[-1].blendshapes):
            dropped[NEAR_STILL] += 1
        else:
            kept.append(face)
            last = points
    if len(kept) < rules.min_frames:
        dropped[TOO_SHORT] += len(kept)
        return None
    return crop, kept


def _hardly_differs(points: Array, last: Array, shapes: Array, last_shapes: Array) -> bool:
    moved = float(np.abs(points - last)[:, :2].mean())
    return moved < STILL_MOVE and float(np.abs(shapes - last_shapes).max()) < STILL_CHANGE


def _cut(pictures: SampledVideo, chosen: list[tuple[Crop, list[_Seen]]], rules: TrackRules) -> list[Track]:
    wanted = {face.number: (i, crop) for i, (crop, kept) in enumerate(chosen) for face in kept}
    jpegs: list[list[bytes]] = [[] for _ in chosen]
    for number, _, rgb in pictures if wanted else ():
        if number in wanted:
            i, crop = wanted[number]
            jpegs[i].append(_jpeg(crop.cut(rgb, PICTURE_SIZE_PX), rules.jpeg_quality))
    if any(len(of_track) != len(kept) for of_track, (_, kept) in zip(jpegs, chosen, strict=True)):
        raise InputError("It decodes differently each time. Convert it again, with: ffmpeg -i FILE NEW.mp4")
    return [
        Track(
            jpegs=of_track,
            landmarks=np.stack([crop.normalise(face.landmarks) for face in kept]),
            blendshapes=np.stack([face.blendshapes for face in kept]),
            times_s=[round(face.time_s, 4) for face in kept],
            is_clip=True,
            about=_about(crop, *kept[0].picture_px),
        )
        for of_track, (crop, kept) in zip(jpegs, chosen, strict=True)
    ]


def _of_one_person(tracks: list[Track], dropped: Counter[str]) -> list[Track]:
    """Without those that show somebody else than the longest one does: a cut may have led to another person."""
    if len(tracks) < 2:
        return tracks
    descriptors = [_describe_middle(track) for track in tracks]
    longest = max(range(len(tracks)), key=lambda i: len(tracks[i]))
    same = [distance(descriptor, descriptors[longest]) <= DIFFERENT_PEOPLE for descriptor in descriptors]
    if others := sum(len(track) for track, stays in zip(tracks, same, strict=True) if not stays):
        dropped[OTHER_PERSON] += others
    return [track for track, stays in zip(tracks, same, strict=True) if stays]


def _describe_middle(track: Track) -> Array:
    middle = len(track) // 2
    picture = np.asarray(Image.open(io.BytesIO(track.jpegs[middle])))
    return face_identity().descriptor(picture, track.landmarks[middle] * PICTURE_SIZE_PX)


def _crop_within(content: tuple[int, int, int, int], points: Array) -> Crop:
    """The face's crop, wholly inside what was filmed."""
    left, top, right, bottom = content
    crop = face_crop(points[:, :2] - np.array([left, top], np.float32), right - left, bottom - top)
    return Crop(crop.x + left, crop.y + top, crop.side)


def _is_padded(crop: Crop, content: tuple[int, int, int, int]) -> bool:
    left, top, right, bottom = content
    return crop.x < left or crop.y < top or crop.x + crop.side > right or crop.y + crop.side > bottom


def _about(crop: Crop, width: int, height: int) -> dict[str, Any]:
    return {"crop": asdict(crop), "picture_px": [width, height]}


def leaves_crop(points: Array) -> bool:
    return bool(points[:, :2].min() < -OUTSIDE or points[:, :2].max() > 1 + OUTSIDE)


def _centre(landmarks: Array) -> Array:
    return np.asarray((landmarks[:, :2].min(axis=0) + landmarks[:, :2].max(axis=0)) / 2, np.float32)


def _chip(rgb: Picture, landmarks: Array) -> Array:
    """(24, 24) luma about the face, of mean 0 and norm 1: the product of two is their correlation."""
    side = 1.5 * float(np.ptp(landmarks[:, :2], axis=0).max())
    scale, shift = _CHIP_PX / side, _CHIP_PX / 2 - _CHIP_PX / side * _centre(landmarks)
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    blur = max(1, int(1 / scale))
    luma = cv2.blur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (blur, blur))
    chip = cv2.warpAffine(luma, matrix, (_CHIP_PX, _CHIP_PX), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    chip -= chip.mean()
    return np.asarray(chip / max(float(np.linalg.norm(chip)), 1e-6), np.float32)


def _jpeg(picture: Picture, quality: int) -> bytes:
    store = io.BytesIO()
    Image.fromarray(picture).save(store, "JPEG", quality=quality, subsampling="4:4:4")
    return store.getvalue()


def _without(path: Path, message: str) -> str:
    """A message whose subject is the file, without the file: the journal names it already."""
    return message.removeprefix(f"{path}").removeprefix(":").strip()


def _refused(outcome: Outcome, reason: str, detail: str = "") -> Outcome:
    outcome.refusal, outcome.detail = reason, detail
    if outcome.seen and not outcome.dropped:
        outcome.dropped[reason] += outcome.seen
    return outcome

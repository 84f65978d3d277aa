"""One source file to tracks: stretches of frames that show one face, cropped, tracked and fit to learn from."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avatar.core.arrays import Array, Picture
from avatar.core.errors import InputError
from avatar.face.crop import Crop, face_crop
from avatar.face.face_descriptor import distance
from avatar.face.state import FaceState, Tracker
from avatar.identity.clip_turn import find_turn
from avatar.identity.face_identity import DIFFERENT_PEOPLE
from avatar.identity.face_search import find_faces, size_px
from avatar.identity.photo_check import MIN_SHARPNESS, SECOND_FACE_SHARE, check_face
from avatar.learning.dataset.clip_crop import choose_frames, crop_within, leaves_crop
from avatar.learning.dataset.face_figures import histograms
from avatar.learning.dataset.outcome import (
    BLURRED,
    LEAVES_CROP,
    NO_FACE,
    OTHER_PERSON,
    SEVERAL_FACES,
    SMALL_FACE,
    TURNED,
    UNREADABLE,
    Outcome,
    Track,
    TrackRules,
)
from avatar.learning.dataset.pack import PICTURE_SIZE_PX
from avatar.learning.dataset.padding import content_box
from avatar.learning.dataset.sampled_video import SampledVideo
from avatar.learning.dataset.shot_cuts import SeenFace, centre, chip_of, stretches_of
from avatar.learning.dataset.worker_tools import clip_tracker, face_identity, photo_reader, photo_tracker
from avatar.sources.video_file import VideoFile
from avatar.tracking.cage_wire import Answer

MAX_PHOTO_FACES = 4


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
    crop = crop_within(content_box(rgb), face.landmarks)
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
    seen: list[SeenFace] = []
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
            chip = chip_of(rgb, face.landmarks)
            size = (rgb.shape[1], rgb.shape[0])
            seen.append(SeenFace(number, time_s, face.landmarks, face.blendshapes, chip, size, content_box(rgb), unfit))
        outcome.damage = _without(path, video.damage) if video.damage else None
        stretches = stretches_of(seen)
        outcome.cuts = max(0, len(stretches) - 1)
        chosen = [kept for stretch in stretches if (kept := choose_frames(stretch, rules, outcome.dropped))]
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
    size, middle = size_px(answer.face), centre(answer.face.landmarks)
    return any(
        float((high - low).max()) >= SECOND_FACE_SHARE * size
        and float(np.linalg.norm((low + high) / 2 - middle)) > size / 2
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


def _cut(pictures: SampledVideo, chosen: list[tuple[Crop, list[SeenFace]]], rules: TrackRules) -> list[Track]:
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


def _about(crop: Crop, width: int, height: int) -> dict[str, Any]:
    return {"crop": asdict(crop), "picture_px": [width, height]}


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

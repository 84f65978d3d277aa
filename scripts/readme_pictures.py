"""The pictures of README.md and docs/, from what visavis itself draws, says and shows: into docs/pictures.

    python scripts/readme_pictures.py [talking] [photos] [page]    all of them without any

Faces are those of scripts/portraits alone. Their driver is the clip of `make demo`; nothing of it is in a picture.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import avatar
from avatar import FaceState, LabelStyle, LiveOptions, Puppet, VideoFile, load_photo
from avatar.core.arrays import Picture
from avatar.identity.photo_check import MAX_FACES, check_photo
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from scripts.demo import carphone
from scripts.page_picture import page_pictures

PORTRAITS = Path(__file__).parent / "portraits"
OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SHOWN = ("mona_lisa", "woman_1", "man_1", "woman_4", "girl_with_a_pearl_earring")
TILE_PX, QUALITY = 224, 68  # of the moving picture
FIRST, SHORTEST = 30, 75  # frames of the clip: where a loop begins at the latest, and how long it is at least
CARD_PX, FONT_PX, COLUMNS = 232, 14, 3  # of a sheet of photos
MOST_LINES = 6  # of a caption
INK, PAPER, GOOD, DOUBTFUL, BAD = (34, 34, 34), (255, 255, 255), (26, 127, 55), (154, 103, 0), (197, 34, 31)


def main() -> None:
    makers: dict[str, Callable[[], None]] = {"talking": talking, "photos": photos, "page": page}
    wanted = sys.argv[1:] or list(makers)
    if unknown := set(wanted) - set(makers):
        sys.exit(f"There is no picture {', '.join(sorted(unknown))}; there are {', '.join(makers)}.")
    OUT.mkdir(exist_ok=True)
    for name in wanted:
        makers[name]()
    print(*(f"{path.stat().st_size / 1e3:6.0f} kB  {path.name}" for path in sorted(OUT.iterdir())), sep="\n")


def talking() -> None:
    """Four portraits that talk in time with each other, without end."""
    states, duration_ms = motion()
    first, last = loop(states)
    films = [driven(name, states)[first:last] for name in SHOWN]
    frames = [Image.fromarray(np.hstack([small(picture) for picture in moment])) for moment in zip(*films, strict=True)]
    path, step_ms = OUT / "talking.webp", round(duration_ms)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=step_ms, loop=0, quality=QUALITY)


def motion() -> tuple[list[FaceState], float]:
    """The faces of the demo's clip, and milliseconds from one to the next."""
    clip = VideoFile(carphone())
    with CagedTracker(tracker_model(), "video", patient=True) as tracker:
        states = [tracker.track(frame.rgb, round(frame.media_s * 1e9)) for frame in clip]
    return states, 1e3 / float(clip.fps)


def driven(name: str, states: list[FaceState], label: LabelStyle | None = None) -> list[Picture]:
    """A portrait moved by them. They come twice: in the first round its driver's rest is learnt."""
    person = avatar.enroll([PORTRAITS / f"{name}.jpg"], name, keep=False)
    after_ns = states[-1].capture_ns + (states[1].capture_ns - states[0].capture_ns)
    with Puppet(person, LiveOptions(label=label or LabelStyle()), patient=True) as puppet:
        for state in states:
            puppet.drive_state(state)
        return [puppet.drive_state(replace(state, capture_ns=after_ns + state.capture_ns)) for state in states]


def loop(states: list[FaceState]) -> tuple[int, int]:
    """Where to begin and end so that the end goes over into the beginning: the two most alike faces."""
    points = np.stack([state.landmarks[:, :2].ravel() for state in states])
    pairs = [(i, j) for i in range(FIRST) for j in range(i + SHORTEST, len(states))]
    return min(pairs, key=lambda pair: float(np.abs(points[pair[0]] - points[pair[1]]).mean()))


def small(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class Photo:
    """What it is, in a word or two, and how a good portrait was spoilt to show it."""

    title: str
    portrait: str
    spoil: Callable[[Picture], Picture] = lambda rgb: rgb


def photos() -> None:
    """Good, doubtful and refused photos, each with the words of the photo check under it."""
    good = [
        Photo("Straight and calm: the first", "woman_1"),
        Photo("A slight smile: the second", "woman_4"),
        Photo("A painting does too", "mona_lisa"),
    ]
    doubtful = [
        Photo("Soft", "woman_2", lambda rgb: blurred(rgb, 0.006)),
        Photo("Dark", "man_1", lambda rgb: lit(rgb, 0.25)),
        Photo("Overexposed", "woman_3", lambda rgb: lit(rgb, 1.9)),
        Photo("Light from one side", "woman_1", from_the_side),
        Photo("Tilted", "man_2", lambda rgb: tilted(rgb, 32)),
        Photo("Turned: one of several", "girl_with_a_pearl_earring"),
    ]
    bad = [
        Photo("Blurred", "woman_2", lambda rgb: blurred(rgb, 0.012)),
        Photo("Almost black", "man_1", lambda rgb: lit(rgb, 0.06)),
        Photo("Cut off", "woman_1", cut_off),
        Photo("Far away", "man_2", far_away),
        Photo("Two people", "woman_3", lambda rgb: beside(rgb, "woman_4")),
        Photo("No face to be found", "woman_4", pixelated),
    ]
    sheet("photos-good.jpg", good)
    sheet("photos-warned.jpg", doubtful)
    sheet("photos-bad.jpg", bad)


def sheet(name: str, shown: list[Photo]) -> None:
    with CagedTracker(tracker_model(), "image", max_faces=MAX_FACES) as tracker:
        cards = [card(photo, tracker) for photo in shown]
    height = max(len(each) for each in cards)
    cards = [np.pad(each, ((0, height - len(each)), (0, 0), (0, 0)), constant_values=PAPER[0]) for each in cards]
    rows = [np.hstack(cards[start : start + COLUMNS]) for start in range(0, len(cards), COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(OUT / name, quality=85)


def card(photo: Photo, tracker: CagedTracker) -> Picture:
    rgb = photo.spoil(load_photo(PORTRAITS / f"{photo.portrait}.jpg"))
    check = check_photo(rgb, tracker).check
    said, colour = "good", GOOD
    if check.refusal:
        said, colour = check.refusal, BAD
    elif check.warnings:
        said, colour = "; ".join(check.warnings), DOUBTFUL
    said = f"{said[0].upper()}{said[1:]}."
    lines = [photo.title, *wrap(said, CARD_PX * 10 // 68, max_lines=MOST_LINES, placeholder=" …")]
    page = Image.new("RGB", (CARD_PX + 16, CARD_PX + 26 + len(lines) * (FONT_PX + 4)), PAPER)
    near_the_top = (0.5, 0.12)  # of a tall picture, where the head is
    square = ImageOps.fit(Image.fromarray(rgb), (CARD_PX, CARD_PX), Image.Resampling.LANCZOS, centering=near_the_top)
    page.paste(square, (8, 8))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(FONT_PX)
    for number, line in enumerate(lines):
        draw.text((8, CARD_PX + 14 + number * (FONT_PX + 4)), line, colour if number else INK, font)
    return np.asarray(page)


def blurred(rgb: Picture, share: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), share * len(rgb)))


def lit(rgb: Picture, light: float) -> Picture:
    return (rgb * light).clip(0, 255).astype(np.uint8)


def from_the_side(rgb: Picture) -> Picture:
    across = np.linspace(-1, 1, rgb.shape[1])[:, None]
    return (rgb * (0.12 + 0.88 / (1 + np.exp(-16 * across)))).astype(np.uint8)


def tilted(rgb: Picture, angle_deg: float) -> Picture:
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1.0)
    return np.asarray(cv2.warpAffine(rgb, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))


def cut_off(rgb: Picture) -> Picture:
    return np.ascontiguousarray(rgb[:, : int(0.58 * rgb.shape[1])])


def far_away(rgb: Picture) -> Picture:
    tiny = cv2.resize(rgb, (70, 70 * rgb.shape[0] // rgb.shape[1]), interpolation=cv2.INTER_AREA)
    side = 560
    room = np.full((side, side, 3), np.median(rgb[: len(rgb) // 8], axis=(0, 1)), np.uint8)
    room[side - len(tiny) :, side // 2 - 35 : side // 2 + 35] = tiny
    return room


def beside(rgb: Picture, other: str) -> Picture:
    second = cv2.resize(load_photo(PORTRAITS / f"{other}.jpg"), rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    middle = rgb.shape[1] // 4
    return np.hstack([half[:, middle : middle + rgb.shape[1] // 2] for half in (rgb, second)])


def pixelated(rgb: Picture) -> Picture:
    tiny = cv2.resize(rgb, (12, 12), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(tiny, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST))


def page() -> None:
    """The page of `visavis`, light and dark, with a face of scripts/portraits before the webcam."""
    states, _ = motion()
    webcam = driven("man_2", states, LabelStyle(left_out="It plays the webcam of a screenshot."))
    with tempfile.TemporaryDirectory() as folder:
        page_pictures(webcam, Path(folder), OUT)


if __name__ == "__main__":
    main()

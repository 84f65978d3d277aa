"""Video files as they come: variable rate, turned, HDR, joined, cut off, empty, no video at all."""

import gc
import itertools
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import av.stream
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.core.errors import InputError
from avatar.core.frame import Frame
from avatar.sources.camera import open_camera
from avatar.sources.sdr import colours
from avatar.sources.video_file import VideoFile
from tests.clips import GREEN, TONE_HZ, face_clip, moving_face, read_times, tone, write_clip


def test_every_frame_comes_with_its_time(tmp_path: Path) -> None:
    video = VideoFile(face_clip(tmp_path / "clip.mp4", frames=30, fps=25))
    frames = list(video)
    assert (video.fps, video.width, video.height, video.expected_count) == (25.0, 320, 240, 30)
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.media_s for frame in frames] == pytest.approx([i / 25 for i in range(30)])
    assert frames[7].rgb.shape == (240, 320, 3)
    assert np.abs(frames[7].rgb.astype(int) - moving_face(7)).mean() < 4
    assert all(a.capture_ns < b.capture_ns for a, b in itertools.pairwise(frames))
    assert video.damage is None


def test_it_can_be_read_again(tmp_path: Path) -> None:
    video = VideoFile(face_clip(tmp_path / "clip.mp4", frames=5))
    assert len(list(video)) == len(list(video)) == 5


def test_pictures_that_were_shown_are_let_go_at_once(tmp_path: Path) -> None:
    video = VideoFile(face_clip(tmp_path / "clip.mp4", frames=30))
    gc.collect()
    gc.disable()  # it would come after hundreds of pictures, or thousands
    try:
        assert len([frame.index for frame in video]) == 30
        assert not any(isinstance(one, av.VideoFrame) for one in gc.get_objects())
    finally:
        gc.enable()


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times_ms = [0, 40, 50, 140, 141, 500, 533, 900, 1400, 1433]
    path = face_clip(tmp_path / "vfr.mp4", frames=10, pts=times_ms, time_base=Fraction(1, 1000))
    assert read_times(path) == pytest.approx([t / 1000 for t in times_ms])


@pytest.mark.parametrize(("stored", "corner"), [(90, "bottom left"), (-90, "top right"), (180, "bottom right")])
def test_rotation_metadata_is_applied(tmp_path: Path, stored: int, corner: str) -> None:
    picture = moving_face(0)
    picture[:60, :60] = GREEN  # top left, as stored
    path = write_clip(tmp_path / "phone.mp4", [picture] * 3, rotation=stored)
    video = VideoFile(path)
    upright = next(iter(video)).rgb
    assert (video.width, video.height) == ((320, 240) if stored == 180 else (240, 320))
    assert upright.shape == (video.height, video.width, 3)
    rows = slice(10, 50) if "top" in corner else slice(-50, -10)
    columns = slice(10, 50) if "left" in corner else slice(-50, -10)
    assert upright[rows, columns].mean((0, 1)) == pytest.approx([0, 255, 0], abs=30)


def test_as_fast_as_it_goes_no_frame_is_lost_however_slow_the_reader(tmp_path: Path) -> None:
    camera = open_camera(str(face_clip(tmp_path / "clip.mp4", frames=10, fps=100)), real_time=False)
    frames = []
    while isinstance(frame := camera.read(), Frame):
        frames.append(frame)
        time.sleep(0.03)  # three frames' time
    assert frame is None and camera.dropped == 0
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.media_s for frame in frames] == pytest.approx([i / 100 for i in range(10)])
    assert all(a.capture_ns < b.capture_ns for a, b in itertools.pairwise(frames))


def test_as_fast_as_it_goes_is_faster_than_real_time_and_starts_over(tmp_path: Path) -> None:
    camera = open_camera(str(face_clip(tmp_path / "clip.mp4", frames=20, fps=1)), loop=True, real_time=False)
    start_s = time.monotonic()
    frames = [camera.read() for _ in range(50)]
    assert time.monotonic() - start_s < 25  # they last 50
    assert [frame.index for frame in frames if isinstance(frame, Frame)] == list(range(50))
    assert [round(frame.media_s) for frame in frames if isinstance(frame, Frame)] == [i % 20 for i in range(50)]


def test_a_file_cut_off_in_the_middle_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mp4", frames=60, options={"movflags": "faststart"})
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    video = VideoFile(cut)
    frames = list(video)
    assert 10 < len(frames) < 60
    assert video.damage is not None
    assert "cut.mp4" in video.damage
    assert str(len(frames)) in video.damage


def test_a_recording_that_never_ended_says_so(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mp4", frames=30)  # its index comes last
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cut\.mp4 is cut off: its index.*Copy it again"):
        VideoFile(cut)


def test_a_matroska_file_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mkv", frames=60)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) // 2])
    video = VideoFile(cut)
    assert 5 < len(list(video)) < 60
    assert video.damage is not None
    assert re.search(r"cut\.mkv is cut off: it ends after \d\.\d of 2\.4 seconds", video.damage)


@pytest.mark.parametrize("last_ms", [100, 400])
def test_a_whole_matroska_file_is_not_called_cut_off(tmp_path: Path, last_ms: int) -> None:
    path = face_clip(tmp_path / "a.mkv", frames=4, pts=[0, 40, 50, last_ms], time_base=Fraction(1, 1000), sound=True)
    video = VideoFile(path)
    assert len(list(video)) == 4
    assert video.damage is None


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    empty, text, missing = tmp_path / "empty.mp4", tmp_path / "letter.mp4", tmp_path / "missing.mp4"
    empty.touch()
    text.write_text("Dear reader,\n" * 200)
    for path, reason in ((empty, "is empty"), (text, "cannot be read as a video"), (missing, "no such file")):
        with pytest.raises(InputError, match=reason) as caught:
            VideoFile(path)
        assert str(path) in str(caught.value)
    with pytest.raises(InputError, match=r"is a folder\. Name a video in it"):
        VideoFile(tmp_path)
    picture = tmp_path / "letter.jpg"
    picture.write_text("Dear reader,\n")
    with pytest.raises(InputError, match=r"no picture of it can be decoded.*Give a file that"):
        VideoFile(picture)


def test_a_row_of_jpegs_is_a_video(tmp_path: Path) -> None:
    """What FFmpeg takes for a single picture by its first bytes, whatever the name says."""
    rows = b"".join(cv2.imencode(".jpg", moving_face(index))[1].tobytes() for index in range(3))
    (path := tmp_path / "camera.mjpeg").write_bytes(rows)
    assert len(list(VideoFile(path))) == 3


def test_sound_without_pictures_is_named(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=TONE_HZ)
        for frame in tone(0.5):
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(path)


def encode(path: Path, frames: Iterable[av.VideoFrame], codec: str, options: dict[str, str] | None = None) -> Path:
    """With the first frame's format, and its colour tags where they are stated."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        assert isinstance(stream, av.VideoStream)
        for index, frame in enumerate(frames):
            if index == 0:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
                context = stream.codec_context
                context.colorspace, context.color_range = frame.colorspace, frame.color_range
                context.color_trc, context.color_primaries = frame.color_trc, frame.color_primaries
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


PATCHES = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [205, 165, 140], [128, 128, 128], [250, 250, 250]])


def patches(width: int = 240, height: int = 32) -> Picture:
    """(height, width, 3): six stripes, one of a skin's colour."""
    return np.repeat(PATCHES[None], height, 0).repeat(width // 6, 1).astype(np.uint8)


def seen(path: Path) -> NDArray[np.float64]:
    """(6, 3): the stripes' colours as the file shows them, the mean of all frames."""
    rgb = np.mean([frame.rgb for frame in VideoFile(path)], axis=0)
    side = rgb.shape[1] // 6
    return np.array([rgb[8:-8, i * side + side // 4 : (i + 1) * side - side // 4].mean((0, 1)) for i in range(6)])


def as_yuv(rgb: NDArray[np.float64], matrix: int, full: bool, bits: int = 8) -> av.VideoFrame:
    """4:4:4 by the equations of ITU-T H.273; `rgb` in [0, 1]."""
    red, blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    luma = rgb @ [red, 1 - red - blue, blue]
    chroma = [(rgb[..., i] - luma) / (2 - 2 * of) for i, of in ((2, blue), (0, red))]
    scale = 2 ** (bits - 8)
    values = [255 * luma if full else 219 * luma + 16, *((255 if full else 224) * one + 128 for one in chroma)]
    frame = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv444p" if bits == 8 else "yuv444p10le")
    for plane, value in zip(frame.planes, values, strict=True):
        rows = np.zeros((plane.height, plane.line_size // (1 if bits == 8 else 2)), np.uint8 if bits == 8 else "<u2")
        rows[:, : plane.width] = np.rint(value * scale)
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6])
def test_matrix_and_range_are_those_of_the_file(tmp_path: Path, matrix: int, full: bool) -> None:
    path = encode(tmp_path / "clip.mkv", [as_yuv(patches() / 255, matrix, full)], "ffv1")
    assert np.abs(seen(path) - PATCHES).max() < 3


@pytest.mark.parametrize(("height", "matrix"), [(32, 6), (720, 1)])
def test_a_matrix_that_is_not_stated_is_that_of_its_size(tmp_path: Path, height: int, matrix: int) -> None:
    frame = as_yuv(patches(height=height) / 255, matrix, full=False)
    frame.colorspace = 2
    assert np.abs(seen(encode(tmp_path / "clip.mkv", [frame], "ffv1")) - PATCHES).max() < 3


TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
TO_P3 = np.array([[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]])


def linear(rgb: Picture) -> NDArray[np.float64]:
    signal = rgb / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2100, with white at 203 cd/m² (BT.2408)."""
    power = np.clip(light * 203 / 10_000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2100, with white at a signal of 75 %."""
    scene = np.clip(light * 0.2646, 0, 1)
    above = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), above)


def srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(
    ("curve", "transfer", "to_wide", "primaries", "matrix"),
    [(pq, 16, TO_BT2020, 9, 9), (hlg, 18, TO_BT2020, 9, 9), (srgb, 13, TO_P3, 12, 1), (srgb, 14, TO_BT2020, 9, 9)],
    ids=["PQ", "HLG", "Display P3", "BT.2020 without HDR"],
)
@pytest.mark.parametrize("codec", ["ffv1", "libx265"])
def test_hdr_and_wide_gamut_look_as_the_same_in_sdr(
    tmp_path: Path,
    codec: str,
    curve: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    transfer: int,
    to_wide: NDArray[np.float64],
    primaries: int,
    matrix: int,
) -> None:
    frame = as_yuv(curve(linear(patches()) @ to_wide.T), matrix, full=False, bits=10)
    frame.color_trc, frame.color_primaries = transfer, primaries
    options = {"x265-params": "log-level=none", "crf": "4", "preset": "ultrafast"} if codec == "libx265" else {}
    shown = seen(encode(tmp_path / "clip.mkv", [frame] * 2, codec, options))
    bright = PATCHES.max(1) > 245
    assert np.abs(shown - PATCHES)[~bright].max() < 9
    assert (shown[bright] > 235).all()  # white makes room for what is brighter


def test_lights_brighter_than_white_differ_still() -> None:
    grey = np.linspace(0, 1, 33)
    shown = colours(16, 9)[np.arange(33), np.arange(33), np.arange(33), 1]
    assert (np.diff(shown) > -1e-9).all()
    white, lamp = np.interp([float(pq(np.array(1.0))), float(pq(np.array(4.0)))], grey, shown)
    assert 0.92 < white < 0.98 < lamp <= 1


@pytest.mark.parametrize(
    ("aspect", "size"), [((4, 3), (320, 180)), ((3, 4), (240, 240)), ((1000, 1), (240, 180)), ((16, 11), (349, 180))]
)
def test_pixels_that_are_not_square(tmp_path: Path, aspect: tuple[int, int], size: tuple[int, int]) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", [moving_face(i, 240, 180) for i in range(3)], pixel_aspect=Fraction(*aspect)
    )
    video = VideoFile(path)
    assert (video.width, video.height) == size
    shown = [frame.rgb for frame in video]
    assert {rgb.shape for rgb in shown} == {(size[1], size[0], 3)}
    stretched = cv2.resize(moving_face(1, 240, 180), size)
    assert np.abs(shown[1].astype(int) - stretched).mean() < 4


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_size_and_pixel_aspect_may_change_and_the_picture_keeps_its_size(tmp_path: Path) -> None:
    def part(name: str, width: int, height: int, aspect: Fraction = Fraction(1)) -> Path:
        pictures = [moving_face(i, width, height) for i in range(6)]
        return write_clip(tmp_path / f"{name}.h264", pictures, pixel_aspect=aspect)

    parts = (
        part("first", 320, 240),
        part("larger", 480, 360),
        part("narrow", 240, 240, Fraction(4, 3)),
        part("high", 120, 240),
    )
    frames = list(VideoFile(joined(tmp_path / "changing.h264", *parts)))
    assert [frame.rgb.shape for frame in frames] == [(240, 320, 3)] * 24
    for index in (6, 11):
        assert (
            np.abs(frames[index].rgb.astype(int) - cv2.resize(moving_face(index - 6, 480, 360), (320, 240))).mean() < 6
        )
    assert np.abs(frames[17].rgb.astype(int) - cv2.resize(moving_face(5, 240, 240), (320, 240))).mean() < 6
    assert np.abs(frames[23].rgb[:, 100:220].astype(int) - moving_face(5, 120, 240)).mean() < 6
    assert frames[23].rgb[:, :98].max() < 5  # what does not fit stands on black


def test_a_joined_file_goes_on_where_the_first_part_ended(tmp_path: Path) -> None:
    part = face_clip(tmp_path / "part.ts", frames=12)
    video = VideoFile(joined(tmp_path / "whole.ts", part, part, part))
    times_s = [frame.media_s - video.first_media_s for frame in video]
    assert times_s == pytest.approx([i / 25 for i in range(36)], abs=2e-3)


def test_an_edit_list_is_no_damage(tmp_path: Path) -> None:
    """As `ffmpeg -ss 0.2 -c copy` cuts: all frames are in the file, some are not shown."""
    whole = face_clip(tmp_path / "whole.mp4", frames=30).read_bytes()
    at = whole.index(b"elst") + 12  # one entry: length, first time, rate
    assert int.from_bytes(whole[at - 4 : at], "big") == 1
    timescale = int.from_bytes(whole[whole.index(b"mdhd") + 16 :][:4], "big")
    first = int.from_bytes(whole[at + 4 : at + 8], "big") + timescale // 5
    edited = tmp_path / "edited.mp4"
    edited.write_bytes(whole[:at] + (1000).to_bytes(4, "big") + first.to_bytes(4, "big") + whole[at + 8 :])
    video = VideoFile(edited)
    frames = list(video)
    assert (len(frames), video.expected_count, video.damage) == (25, 25, None)
    assert np.abs(frames[0].rgb.astype(int) - moving_face(5)).mean() < 4


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    ],
    ids=["mirrored", "flipped", "transposed", "turned"],
)
def test_a_mirrored_picture_is_shown_as_players_show_it(
    tmp_path: Path, matrix: tuple[int, ...], shown: Callable[[Picture], Picture]
) -> None:
    data = face_clip(tmp_path / "plain.mp4", frames=2).read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # of version 0
    a, b, c, d = (65536 * one for one in matrix)
    path = tmp_path / "mirrored.mp4"
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :])
    assert np.abs(next(iter(VideoFile(path))).rgb.astype(int) - shown(moving_face(0))).mean() < 4


def test_what_is_transparent_lies_on_grey(tmp_path: Path) -> None:
    rgba = np.dstack([moving_face(0), np.full((240, 320), 255, np.uint8)])
    rgba[:, :100, 3] = 0
    path = encode(tmp_path / "clip.mov", [av.VideoFrame.from_ndarray(rgba, format="rgba")], "png")
    shown = next(iter(VideoFile(path))).rgb
    assert (shown[:, :100] == 128).all()
    assert np.abs(shown[:, 100:].astype(int) - moving_face(0)[:, 100:]).mean() < 1


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", rate=TONE_HZ)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(moving_face(0), format="rgb24")))
        for frame in tone(0.5):
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        VideoFile(path)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.ffconcat"])
def test_a_playlist_is_refused_and_nothing_that_it_names_is_opened(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
        (tmp_path / name).write_text(f"ffconcat version 1.0\nfile '{address}'\n" if "ffconcat" in name else text)
        with pytest.raises(InputError, match="cannot be read as a video"):
            VideoFile(tmp_path / name)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    face_clip(tmp_path / "clip.mp4", frames=2).rename("tcp:talk.mp4")
    assert len(list(VideoFile(Path("tcp:talk.mp4")))) == 2


def test_a_part_begins_at_its_time(tmp_path: Path) -> None:
    video = VideoFile(face_clip(tmp_path / "clip.mp4", frames=60))
    shown = [one for one in video.shown(start_s=1.6) if one.media_s >= 1.6 - 1e-6]
    assert [one.media_s for one in shown] == pytest.approx([i / 25 for i in range(40, 60)])
    assert np.abs(shown[0].rgb().astype(int) - moving_face(40)).mean() < 4

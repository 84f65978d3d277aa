"""Time codes survive what a video call does to a picture, and nothing else is taken for one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from avatar.core.frame import Frame
from avatar.profiling.profile import Memory
from avatar.profiling.time_code import (
    MODULUS,
    CodedCamera,
    CodedPublisher,
    CodeReadingCamera,
    age_ms,
    draw_code,
    now_code,
    read_code,
)


@pytest.mark.parametrize("size", [(256, 256), (640, 480), (1280, 720)])
@pytest.mark.parametrize("code", [0, 1, 123_456, MODULUS - 1])
def test_a_code_is_read_from_a_compressed_picture(size: tuple[int, int], code: int) -> None:
    picture = np.asarray(cv2.resize(astronaut(), size), np.uint8)
    draw_code(picture, code)
    assert read_code(picture) == code
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])
    assert read_code(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)) == code
    assert read_code(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)) == code


def test_pictures_without_a_code_have_none() -> None:
    rng = np.random.default_rng(0)
    assert read_code(np.asarray(astronaut(), np.uint8)) is None
    assert read_code(np.zeros((8, 8, 3), np.uint8)) is None
    noise = [read_code(rng.integers(0, 256, (240, 320, 3), np.uint8)) for _ in range(40)]
    assert noise.count(None) >= 37  # one in 256 passes by chance


def test_codes_come_round() -> None:
    assert age_ms(now_code()) < 5000
    assert age_ms((now_code() + 1000) % MODULUS) > MODULUS - 2000


class OneFrame:
    name, fps, dropped = "one", 30.0, 0

    def __init__(self, frame: Frame) -> None:
        self._frame: Frame | None = frame

    def read(self) -> Frame | None:
        frame, self._frame = self._frame, None
        return frame

    def close(self) -> None: ...


def test_only_the_number_goes_from_camera_to_publisher() -> None:
    capture_ns = 987_654_321_000
    seen = Frame(np.full((240, 320, 3), 90, np.uint8), capture_ns, 0)
    camera, shown = CodeReadingCamera(CodedCamera(OneFrame(seen))), Memory()
    frame = camera.read()
    assert isinstance(frame, Frame)
    assert (seen.rgb == 90).all()  # the camera's own picture is left alone
    picture = np.asarray(cv2.resize(astronaut(), (512, 512)), np.uint8)
    CodedPublisher(shown, camera).send(Frame(picture, capture_ns, 0))
    assert shown.newest is not None
    assert read_code(shown.newest.rgb) == capture_ns // 1_000_000 % MODULUS
    assert read_code(picture) is None
    CodedPublisher(shown, camera).send(Frame(picture, capture_ns + 1, 1))  # a frame that no camera picture belongs to
    assert read_code(shown.newest.rgb) is None

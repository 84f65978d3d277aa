"""Which part of a portrait is the person: for other backgrounds, and for framing.

MediaPipe does it in a process of its own, inside the tracker's walls (`avatar.tracking.child`).
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.errors import VisavisError
from avatar.core.model_files import model_file
from avatar.sandbox.child_process import cage_environment
from avatar.tracking.cage_process import CAGE
from avatar.tracking.child.face_landmarker import quiet_native_log

MODEL = "segmentation/selfie.tflite"  # see MODEL_CARD.md beside it
LOWEST, HIGHEST = 0.35, 0.85  # shares of the person that count as none and as all: inwards, so that no rim is left

LIMIT_S = 60.0
HEADER = struct.Struct("<II")  # number and side of the portraits that follow

Portraits = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
Matte = NDArray[np.uint8]


def person_mattes(portraits: Portraits) -> list[Matte]:
    """For each (S, S, 3) portrait an (S, S) matte: 255 where the person is, soft at the edges.

    A process is started for it, which takes half a second. Raises VisavisError when that fails.
    """
    stack = np.ascontiguousarray(portraits, np.uint8)
    count, side = stack.shape[:2]
    try:
        done = subprocess.run(
            [*CAGE, "matte"],
            input=HEADER.pack(count, side) + stack.tobytes(),
            capture_output=True,
            env=cage_environment(),
            timeout=LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VisavisError(f"The person cannot be told from the background: {error}. Try again.") from error
    if done.returncode or len(done.stdout) != count * side * side:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise VisavisError(f"The person cannot be told from the background: {lines[-1][:300]}. Run `visavis doctor`.")
    return list(np.frombuffer(done.stdout, np.uint8).reshape(count, side, side).copy())


def answer() -> NoReturn:
    """In that process: the portraits from the standard input, the mattes to the standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes elsewhere
    count, side = HEADER.unpack(sys.stdin.buffer.read(HEADER.size))
    data = sys.stdin.buffer.read(count * side * side * 3)
    for matte in segment(np.frombuffer(data, np.uint8).reshape(count, side, side, 3)):
        answers.write(matte.tobytes())
    answers.flush()
    os._exit(0)


def segment(portraits: Portraits) -> list[Matte]:
    """What `person_mattes` answers, in this process. About 10 ms each."""
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions

    options = ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(model_file(MODEL))), output_confidence_masks=True
    )
    with quiet_native_log():
        segmenter = ImageSegmenter.create_from_options(options)
    try:
        mattes = []
        for portrait in portraits:
            picture = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(portrait))
            share = np.array(segmenter.segment(picture).confidence_masks[-1].numpy_view(), np.float32)
            mattes.append(_whole_person(share.reshape(portrait.shape[:2])))
        return mattes
    finally:
        segmenter.close()


def _whole_person(share: Array) -> Matte:
    """The largest piece that hangs together, without holes; the network's other pieces are other people and things."""
    certain = (share > 0.6).astype(np.uint8)
    count, pieces, figures, _ = cv2.connectedComponentsWithStats(certain)
    if count < 2:
        return np.full(share.shape, 255, np.uint8)  # no person at all: a painting beyond recognition stays whole
    largest = (pieces == 1 + int(np.argmax(figures[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outline, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(largest), outline, -1, 1, cv2.FILLED)
    share = np.maximum(share, filled * np.float32(0.9) * (cv2.erode(filled, np.ones((5, 5), np.uint8)) > 0))
    near = cv2.dilate(filled, np.ones((9, 9), np.uint8))
    soft = np.clip((share * near - LOWEST) / (HIGHEST - LOWEST), 0, 1)
    return np.asarray(np.rint(cv2.GaussianBlur(soft, (0, 0), share.shape[0] / 512) * 255), np.uint8)

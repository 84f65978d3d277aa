"""The person in a portrait: MediaPipe's ImageSegmenter, and what belongs to somebody else taken away."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.model_files import model_file
from avatar.tracking.cage_wire import MATTE_HEADER
from avatar.tracking.child.mediapipe_tasks import open_segmenter, picture_of

MODEL = "segmentation/selfie.tflite"  # see MODEL_CARD.md beside it
LOWEST, HIGHEST = 0.35, 0.85  # shares of the person that count as none and as all: inwards, so that no rim is left

Matte = Picture  # (S, S)


def answer() -> NoReturn:
    """The portraits from the standard input, the mattes to the standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes elsewhere
    count, side = MATTE_HEADER.unpack(sys.stdin.buffer.read(MATTE_HEADER.size))
    data = sys.stdin.buffer.read(count * side * side * 3)
    for matte in segment(np.frombuffer(data, np.uint8).reshape(count, side, side, 3)):
        answers.write(matte.tobytes())
    answers.flush()
    os._exit(0)


def segment(portraits: Picture) -> list[Matte]:
    """What `person_mattes` answers for (N, S, S, 3). About 10 ms each."""
    segmenter = open_segmenter(model_file(MODEL))
    try:
        mattes = []
        for portrait in portraits:
            masks = segmenter.segment(picture_of(portrait)).confidence_masks
            share = np.array(masks[-1].numpy_view(), np.float32)
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

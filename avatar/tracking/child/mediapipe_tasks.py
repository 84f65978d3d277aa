"""What is used of MediaPipe. No other file imports it: see the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mediapipe import Image, ImageFormat
from mediapipe.tasks.python import BaseOptions, vision

from avatar.core.arrays import Picture


def open_landmarker(model: Path, video: bool, max_faces: int) -> Any:
    """Its FaceLandmarker, which has seen one black picture, at 0 ms.

    Source: https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker
    """
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
        num_faces=max_faces,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    landmarker: Any = vision.FaceLandmarker.create_from_options(options)
    blank = picture_of(np.zeros((64, 64, 3), np.uint8))
    if video:
        landmarker.detect_for_video(blank, 0)
    else:
        landmarker.detect(blank)
    return landmarker


def open_segmenter(model: Path) -> Any:
    """Its ImageSegmenter, which answers with shares in [0, 1]."""
    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(model)), output_confidence_masks=True
    )
    return vision.ImageSegmenter.create_from_options(options)


def picture_of(rgb: Picture) -> Any:
    """An (H, W, 3) uint8 picture as MediaPipe takes it."""
    return Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(rgb))

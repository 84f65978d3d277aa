"""OpenCV's pool rests while a run is live, and is the program's own again afterwards."""

from __future__ import annotations

import cv2
import pytest

from avatar.core.opencv_threads import one_opencv_thread


def test_the_programs_own_choice_holds_again_even_after_a_failure() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        with pytest.raises(ValueError, match="the run"), one_opencv_thread():
            assert cv2.getNumThreads() == 1
            raise ValueError("the run")
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)

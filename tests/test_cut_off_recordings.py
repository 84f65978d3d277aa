"""What a killed visavis left of a recording is told from one that goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from avatar.dashboard import cut_off_recordings
from avatar.dashboard.recordings import recordings_folder
from avatar.dashboard.refusals import NotThereError


def test_what_this_program_records_is_not_cut_off_however_long_it_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    now_s = time.time()
    monkeypatch.setattr(cut_off_recordings, "STARTED_S", now_s - 120)
    own, others = os.getpid(), os.getpid() + 1
    for name, pid, age_s in (
        ("rests", own, 60),
        ("a container's before", own, 180),
        ("killed", others, 60),
        ("another's", others, 0),
    ):
        path = recordings_folder() / f"{name}.{pid}.part.mp4"
        path.write_bytes(b"x")
        os.utime(path, (now_s - age_s, now_s - age_s))
    told = [one["name"] for one in cut_off_recordings.cut_off_recordings()]
    assert told == [f"killed.{others}.part.mp4", f"a container's before.{own}.part.mp4"]
    with pytest.raises(NotThereError):
        cut_off_recordings.delete(f"rests.{own}.part.mp4")

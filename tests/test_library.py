"""`import avatar`: what a Python program gets of it, and that it is left as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import avatar
from tests.clips import green_share, moving_face, painted
from tests.portraits import enlarged, save

IMPORTED = """
import ctypes, json, os, sys, threading
before, loaded, threads = dict(os.environ), set(sys.modules), threading.active_count()
asked = []
library = ctypes.CDLL
ctypes.CDLL = lambda *how, **more: asked.append(how) or library(*how, **more)
import avatar
new = sorted(name.partition(".")[0] for name in set(sys.modules) - loaded)
print(json.dumps({
    "environment": dict(os.environ) == before, "threads": threading.active_count() - threads, "libraries": asked,
    "heavy": sorted(set(new) & {"numpy", "cv2", "av", "scipy", "onnxruntime", "mediapipe", "torch", "PIL", "rich"}),
}))
"""


def test_importing_it_changes_nothing_in_its_host_and_loads_nothing_heavy() -> None:
    """No variable, no thread, no setting of malloc (which goes through ctypes), no numpy."""
    run = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {"environment": True, "threads": 0, "libraries": [], "heavy": []}


def test_using_it_sets_but_what_keeps_the_runtime_from_reporting() -> None:
    program = (
        "import os; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import cv2  # sets LD_LIBRARY_PATH\n"
        "before = dict(os.environ); import avatar\n"
        "for name in avatar.__all__: getattr(avatar, name)\n"
        "assert dict(os.environ) == before\n"
        "import engines.onnxruntime\n"
        "print(sorted(set(os.environ.items()) - set(before.items())))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[('ORT_DISABLE_TELEMETRY', '1')]"


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    assert set(avatar.__all__) <= set(dir(avatar))
    for name in avatar.__all__:
        assert (getattr(avatar, name).__doc__ or "").strip(), name


@pytest.fixture(scope="module")
def person() -> avatar.Avatar:
    return avatar.enroll([enlarged(2.0)], "anna", keep=False)


def test_a_photo_becomes_an_avatar_that_loads_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    made = avatar.enroll([str(save(enlarged(2.0), tmp_path / "anna.png"))], "anna")
    assert avatar.avatars() == ["anna"]
    assert np.array_equal(avatar.load("anna").embedding, made.embedding)
    with pytest.raises(avatar.UsageError, match="replace=True"):
        avatar.enroll([enlarged(2.0)], "anna")
    with pytest.raises(avatar.InputError, match=r"picture 1: is .* give"):
        avatar.enroll([np.zeros((4, 4), np.uint8)], "berta")


def test_a_puppet_moves_idles_and_shows_no_pixel_of_its_driver(person: avatar.Avatar) -> None:
    options = avatar.LiveOptions(size=(320, 240), engine=avatar.EngineOptions("onnxruntime", "fp32"))
    with avatar.Puppet(person, options, patient=True) as puppet:
        pictures = [puppet.drive(painted(moving_face(i)), i * 40_000_000) for i in range(30)]
        kept = pictures[-1].copy()
        idle = [puppet.drive_state(avatar.no_face((30 + i) * 40_000_000)) for i in range(40)]
        with pytest.raises(avatar.UsageError, match="goes back"):
            puppet.drive_state(avatar.no_face(0))
    assert {picture.shape for picture in pictures + idle} == {(240, 320, 3)}
    assert np.array_equal(pictures[-1], kept)  # what was handed out is not drawn over
    assert all(green_share(picture) < 0.001 for picture in pictures + idle)
    assert (np.abs(np.diff(np.stack(pictures).astype(int), axis=0)).max((1, 2, 3)) > 0).any()
    assert not np.array_equal(idle[20], idle[-1])


def test_puppets_share_an_engine_and_draw_as_alone(person: avatar.Avatar) -> None:
    alone = avatar.LiveOptions(engine=avatar.EngineOptions("onnxruntime", "fp32"))
    with avatar.Puppet(person, alone) as puppet:
        expected = puppet.drive_state(avatar.no_face(0))
    engine = avatar.open_shared_engine(person, "onnxruntime", "fp32")
    with avatar.Puppet(person, engine=engine) as first, avatar.Puppet(person, engine=engine) as second:
        assert np.array_equal(first.drive_state(avatar.no_face(0)), expected)
        first.close()
        assert np.array_equal(second.drive_state(avatar.no_face(0)), expected)
    engine.close()

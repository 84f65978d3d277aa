"""Fine-tuning from the page: it goes on by itself, can be stopped, and nothing is changed before the person chose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatar.core.avatar import Avatar
from avatar.core.errors import UsageError, VisavisError
from avatar.core.model_files import model_file
from avatar.dashboard import finetuning
from avatar.dashboard.finetuning import FineTuning
from avatar.dashboard.refusals import BusyError, NotThereError
from avatar.identity.bundle import avatar_path, load_avatar, save_avatar
from avatar.render.layered_network import NETWORK, network_name
from avatar.render.own_weights import weight_count
from tests.clips import astronaut_avatar

PATIENCE_S = 60.0
LEARNS = "import time\nprint('{\"share\": 0.5}', flush=True)\ntime.sleep(600)"
FINDS = """import shutil, sys, pathlib
folder = pathlib.Path(sys.argv[2])
shutil.copy(pathlib.Path(sys.argv[1]).with_name("tuned"), folder / "made")
(folder / "before").write_bytes(b"as it was")
(folder / "after").write_bytes(b"as it is now")
print('{"kept": true, "words": "It is closer.", "longer_minutes": 0}', flush=True)"""


def tuned() -> Avatar:
    weights = np.zeros(weight_count(model_file(NETWORK)), np.float32)
    return replace(astronaut_avatar(), name="ada", weights=weights, network=network_name())


class Tuning:
    """One, and how to wait for what becomes of it."""

    def __init__(self) -> None:
        self._new = threading.Event()
        self.it = FineTuning(self._new.set)

    def until(self, true: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        while not true(report := self.it.report()):
            assert self._new.wait(PATIENCE_S), report
            self._new.clear()
        return report


@pytest.fixture
def tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tuning]:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    save_avatar(replace(astronaut_avatar(), name="ada"), avatar_path("ada"))
    made = Tuning()
    yield made
    made.it.close()
    assert not list((tmp_path / "home").glob("uploads/*"))


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a script in the place of what learns for minutes."""

    def instead(script: str) -> None:
        (tmp_path / "stand_in.py").write_text(script)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(finetuning, "PROCESS", "stand_in")

    return instead


def test_one_portrait_is_too_few_and_it_says_what_to_do(tuning: Tuning) -> None:
    pytest.importorskip("torch")
    tuning.it.start("ada")
    before = avatar_path("ada").read_bytes()
    report = tuning.until(lambda report: report["state"] != "working")
    assert report["state"] == "told"
    assert "fewer than 5 photos" in str(report["words"]) and "Enrol 5 photos" in str(report["words"])
    assert avatar_path("ada").read_bytes() == before


def test_it_can_be_stopped_while_it_learns(tuning: Tuning, process: Callable[[str], None]) -> None:
    process(LEARNS)
    tuning.it.start("ada", minutes=10)
    assert tuning.until(lambda report: report["share"] == 0.5)["name"] == "ada"
    with pytest.raises(BusyError, match="ada is being fine-tuned"):
        tuning.it.start("ada")
    with pytest.raises(NotThereError):
        tuning.it.picture("before")
    tuning.it.give_up()
    assert tuning.it.report()["state"] == "none"


def test_the_new_one_is_kept_only_when_it_was_chosen(tuning: Tuning, process: Callable[[str], None]) -> None:
    process(FINDS)
    save_avatar(tuned(), avatar_path("ada").with_name("tuned"))
    tuning.it.start("ada")
    before = avatar_path("ada").read_bytes()
    assert tuning.until(lambda report: report["state"] == "choice")["words"] == "It is closer."
    assert (tuning.it.picture("before"), tuning.it.picture("after")) == (b"as it was", b"as it is now")
    assert avatar_path("ada").read_bytes() == before
    with pytest.raises(NotThereError):
        tuning.it.picture("made")
    tuning.it.keep()
    assert load_avatar(avatar_path("ada")).fine_tuned
    with pytest.raises(UsageError, match="fine-tuned already"):
        tuning.it.start("ada")


def test_an_avatar_that_was_changed_meanwhile_is_not_replaced(tuning: Tuning, process: Callable[[str], None]) -> None:
    process(FINDS)
    save_avatar(tuned(), avatar_path("ada").with_name("tuned"))
    tuning.it.start("ada")
    tuning.until(lambda report: report["state"] == "choice")
    save_avatar(replace(astronaut_avatar(), name="ada"), avatar_path("ada"))
    with pytest.raises(VisavisError, match="meanwhile"):
        tuning.it.keep()
    assert not load_avatar(avatar_path("ada")).fine_tuned


@pytest.mark.parametrize(
    ("script", "says"),
    [("import os\nos.abort()", "was ended by SIGABRT"), ('print(\'{"error": "No torch."}\')', "No torch.")],
)
def test_a_process_that_fails_says_why(tuning: Tuning, process: Callable[[str], None], script: str, says: str) -> None:
    process(script)
    tuning.it.start("ada")
    report = tuning.until(lambda report: report["state"] == "told")
    assert says in str(report["words"])


def test_ready_faces_stay_as_they_are(tuning: Tuning) -> None:
    with pytest.raises(UsageError, match="comes with visavis"):
        tuning.it.start("mona_lisa")
    with pytest.raises(UsageError, match="1 to 60 minutes"):
        tuning.it.start("ada", minutes=0)

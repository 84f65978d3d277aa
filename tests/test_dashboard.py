"""The owner's API of the page: who may use it, what it refuses, and what it leaves behind."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.portraits import darkened, enlarged, resized, save, somebody_else

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from aiohttp import ClientSession, WSMsgType

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError, UsageError
from avatar.dashboard import enrolment as dashboard_enrolment
from avatar.dashboard import making, page_challenge
from avatar.dashboard.enrolment import Enrolment
from avatar.dashboard.making import Wanted
from avatar.dashboard.page_clip import look_at
from avatar.dashboard.photo_check import Photo, ShotChecker
from avatar.dashboard.refusals import BusyError
from avatar.dashboard.upload_folder import UploadFolder, remove_stale
from avatar.dashboard.uploads import MOST_BYTES
from avatar.identity.bundle import _write, avatar_path, load_avatar, save_avatar
from avatar.identity.consent import Statement
from avatar.identity.enrolment import StrangersError, enroll
from avatar.retarget.likeness import OWN
from avatar.sources.photo import load_photo
from avatar.tracking.model_asset import tracker_model
from benchmarks.hostile import packed_picture, picture_bomb, zip_bomb
from tests.clips import astronaut_avatar, write_clip
from tests.page_server import CAMERA, CLIP, Links, running
from tests.test_liveness import described
from tests.test_strangers import MONA_LISA

pytestmark = pytest.mark.realtime

CONSENT = {"kind": "agreed", "person": "Ada"}


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    with running(tmp_path_factory.mktemp("dashboard")) as found:
        yield found


Ask = Callable[..., Awaitable[tuple[int, Any]]]


def owner(links: Links, act: Callable[[Ask], Awaitable[None]]) -> None:
    """Run `act(ask)`, where ask(method, path below /api/dashboard, json or bytes) gives the status and the answer."""

    async def run() -> None:
        headers = {"Authorization": f"Bearer {links.owner}"}
        async with ClientSession(links.address, headers=headers) as session:

            async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
                how = {"data": body} if isinstance(body, bytes) or hasattr(body, "__aiter__") else {"json": body}
                async with session.request(method, f"/api/dashboard{path}", **({} if body is None else how)) as answer:
                    data = await answer.read()
                    kind = answer.content_type
                    return answer.status, json.loads(data) if kind == "application/json" else data

            await act(ask)

    asyncio.run(run())


def locked_to_its_person(avatar: Avatar) -> Avatar:
    return replace(avatar, consent=avatar.consent | {"liveness": True})


def jpeg(picture: Any, kind: str = "JPEG") -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, kind)
    return data.getvalue()


async def enrol(ask: Ask, name: str) -> None:
    assert (await ask("POST", "/photos", jpeg(enlarged(1.5))))[1]["reason"] is None
    assert await ask("POST", "/enrolment", {"name": name, "consent": CONSENT}) == (200, {})
    await until(ask, lambda state: state["enrolment"]["state"] in ("done", "failed"))
    assert (await ask("GET", ""))[1]["enrolment"]["state"] == "done"


def enrolled(links: Links, name: str) -> Path:
    """The bundle, which is there at once."""
    path = links.home / "avatars" / f"{name}.avatar"
    save_avatar(replace(astronaut_avatar(), name=name), path)
    return path


async def until(ask: Ask, true: Callable[[Any], bool], limit_s: float = 60.0) -> Any:
    end = time.monotonic() + limit_s
    while not true(state := (await ask("GET", ""))[1]):
        assert time.monotonic() < end, state
        await asyncio.sleep(0.1)
    return state


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", ""), ("GET", "/choices"), ("GET", "/avatars/ada/thumbnail"), ("PATCH", "/avatars/ada"),
        ("DELETE", "/avatars/ada"), ("POST", "/check"), ("POST", "/photos"), ("DELETE", "/photos/1"),
        ("POST", "/enrolment"), ("DELETE", "/enrolment"), ("POST", "/live"), ("PATCH", "/live"), ("DELETE", "/live"),
        ("POST", "/background"), ("GET", "/recordings/x.mp4"), ("POST", "/recordings/x.mp4/verify"),
        ("POST", "/recordings/x.mp4/keep"), ("DELETE", "/recordings/x.mp4"),
        ("POST", "/clip"), ("DELETE", "/clip"), ("POST", "/challenge"),
        ("POST", "/challenge/see"), ("DELETE", "/challenge"),
        ("POST", "/finetuning"), ("GET", "/finetuning/before"), ("POST", "/finetuning/kept"), ("DELETE", "/finetuning"),
        ("GET", "/virtual-camera"), ("POST", "/virtual-camera"),
        ("GET", "/events"),
    ],
)  # fmt: skip
def test_everything_is_for_the_owner_alone(links: Links, method: str, path: str) -> None:
    async def run() -> None:
        async with ClientSession(links.address) as session:
            guest = {"Authorization": f"Bearer {links.guest}"}
            async with session.request(method, f"/api/dashboard{path}", headers=guest) as answer:
                assert answer.status == 403
            async with session.request(method, f"/api/dashboard{path}") as answer:
                assert answer.status in (401, 429)  # the server tires of tries without a token

    asyncio.run(run())


def test_enrols_renames_and_deletes(links: Links) -> None:
    async def act(ask: Ask) -> None:
        await enrol(ask, "ann")
        assert links.uploads() == []
        (card,) = [card for card in (await ask("GET", ""))[1]["avatars"] if card["name"] == "ann"]
        assert (card["portraits"], card["consent"], card["problem"]) == (1, "A person who agreed.", None)
        assert card["shows"].startswith("agreed: Ada, 20")
        status, picture = await ask("GET", "/avatars/ann/thumbnail")
        assert status == 200 and Image.open(io.BytesIO(picture)).size == (256, 256)

        assert await ask("PATCH", "/avatars/ann", {"name": " Beth  Ånn"}) == (200, {})
        assert load_avatar(links.home / "avatars" / "Beth-Ånn.avatar").name == "Beth Ånn"
        assert "Beth Ånn" in [card["name"] for card in (await ask("GET", ""))[1]["avatars"]]
        assert not (links.home / "avatars" / "ann.avatar").exists()
        assert (await ask("PATCH", "/avatars/ann", {"name": "other"}))[0] == 404
        assert (await ask("PATCH", "/avatars/Beth Ånn", {"name": "Beth Ånn"}))[0] == 400
        assert await ask("PATCH", "/avatars/Beth Ånn", {"name": "Beth-Ånn"}) == (200, {})
        assert load_avatar(links.home / "avatars" / "Beth-Ånn.avatar").name == "Beth-Ånn"
        assert await ask("DELETE", "/avatars/Beth Ånn") == (200, {})
        assert not (links.home / "avatars" / "Beth-Ånn.avatar").exists()
        assert (await ask("DELETE", "/avatars/beth"))[0] == 404

    owner(links, act)


def test_an_avatar_is_not_renamed_out_of_its_folder(links: Links) -> None:
    async def act(ask: Ask) -> None:
        enrolled(links, "kept")
        for name in ("../out", str(links.home / "out"), "a/b", ["a"], None):
            assert (await ask("PATCH", "/avatars/kept", {"name": name}))[0] == 400
        for path in ("..%2Fkept", "%2e%2e%2fhome%2favatars%2fkept", "kept.avatar"):
            assert (await ask("DELETE", f"/avatars/{path}"))[0] in (400, 404)
        assert [file.name for file in (links.home / "avatars").iterdir()] == ["kept.avatar"]
        await ask("DELETE", "/avatars/kept")

    owner(links, act)


def test_the_camera_is_chosen_from_a_list_never_by_path(links: Links) -> None:
    async def act(ask: Ask) -> None:
        enrolled(links, "cam")
        for camera in ("/dev/null", "/etc/passwd", "clip.mp4", "0"):
            status, told = await ask("POST", "/live", {"avatar": "cam", "camera": camera})
            assert status == 400 and "not there" in told["error"]
        for wrong in (
            {"background": "/etc/passwd"}, {"size": "9999x9999"}, {"engine": "/bin/sh"}, {"to": "x.mp4"},
            {"label": "top-left"}, {"label": {"corner": "middle", "size": 6, "left_out": None}},
        ):  # fmt: skip
            assert (await ask("POST", "/live", {"avatar": "cam", "camera": CAMERA, **wrong}))[0] == 400
        await ask("DELETE", "/avatars/cam")

    owner(links, act)


def test_nobody_is_enrolled_without_consent(links: Links) -> None:
    async def act(ask: Ask) -> None:
        await ask("POST", "/photos", jpeg(enlarged(1.5)))
        assert (await ask("POST", "/enrolment", {"name": "eve"}))[0] == 400
        wrong: tuple[object, ...] = (
            "yes",
            {},
            {"kind": []},
            {"kind": "agreed", "person": " "},
            {"kind": "agreed", "person": 7},
        )
        for consent in wrong:
            assert (await ask("POST", "/enrolment", {"name": "eve", "consent": consent}))[0] == 400
        assert not (links.home / "avatars" / "eve.avatar").exists()
        await ask("DELETE", "/enrolment")
        assert links.uploads() == []

    owner(links, act)


@pytest.mark.parametrize(
    "made, reason",
    [
        (picture_bomb, "100000 x 100000"), (packed_picture, "7990 x 7990"), (zip_bomb, "not a picture"),
        (lambda: b"<svg onload=alert(1)>", "text file"), (lambda: b"", "empty"),
        (lambda: jpeg(enlarged())[:5000], "damaged"),
        (lambda: jpeg(np.zeros((300, 300, 3), np.uint8)), "no human face"),
        (lambda: jpeg(darkened(enlarged(), 0.02)), ""),
    ],
)  # fmt: skip
def test_what_is_no_photo_is_refused_with_a_reason_and_deleted(
    links: Links, made: Callable[[], bytes], reason: str
) -> None:
    async def act(ask: Ask) -> None:
        status, told = await ask("POST", "/photos", made())
        assert status == 200 and told["reason"] and reason in told["reason"], told
        assert "`visavis" not in told["reason"] and str(links.home) not in told["reason"]
        assert links.uploads() == []

    owner(links, act)


def test_photos_that_are_not_used_are_deleted(links: Links) -> None:
    async def act(ask: Ask) -> None:
        first = (await ask("POST", "/photos", jpeg(enlarged(1.5))))[1]["number"]
        await ask("POST", "/photos", jpeg(enlarged(2.0)))
        assert len(links.uploads()) == 2
        assert all(path.parent.stat().st_mode & 0o077 == 0 for path in links.uploads())  # for this user alone
        await ask("DELETE", f"/photos/{first}")
        assert len(links.uploads()) == 1
        await ask("DELETE", "/enrolment")
        assert links.uploads() == []

    owner(links, act)


@pytest.fixture
def collecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Enrolment, Path]:
    """An enrolment that has received one photo, and where that lies. All that looks at faces is left out."""
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    monkeypatch.setattr(making, "keep_avatar", lambda avatar, *where: _write(b"new", *where))
    monkeypatch.setattr(dashboard_enrolment, "load_photo", lambda path: None)
    checker: Any = SimpleNamespace(photo=lambda picture, pose: Photo(None))
    enrolment = Enrolment(lambda: Path(), checker, lambda: None)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    return enrolment, asyncio.run(enrolment.add(chunks()))


def test_a_photo_that_comes_too_late_is_deleted(collecting: tuple[Enrolment, Path]) -> None:
    enrolment, path = collecting
    enrolment._folder, folder = UploadFolder(), enrolment._folder  # of the next enrolment
    with pytest.raises(BusyError, match="too late"):
        enrolment.check(path)
    assert not path.exists() and enrolment.report()["photos"] == []
    enrolment.give_up()
    enrolment._folder = folder
    enrolment.give_up()
    assert not path.parent.exists()


def test_somebody_else_among_the_photos_is_known_before_the_avatar_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `enroll` says at the end, of the same files."""
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    checker = ShotChecker(tracker_model)
    enrolment = Enrolment(tracker_model, checker, lambda: None)
    one, other = enlarged(2.0), somebody_else(enlarged(2.0))
    sent = [
        save(one, tmp_path / "one.png"),
        save(other, tmp_path / "other.png"),
        save(darkened(one, 0.9), tmp_path / "dim.png"),
    ]

    async def chunks(path: Path) -> AsyncIterator[bytes]:
        yield path.read_bytes()

    said = []
    for path in sent:
        photo = enrolment.check(asyncio.run(enrolment.add(chunks(path))))
        assert photo.reason is None and "descriptor" not in photo.told()
        said.append(enrolment.report()["strangers"])
    json.dumps(enrolment.report())
    for count in (2, 3):
        with pytest.raises(StrangersError) as refused:
            enroll(sent[:count], "ada", tracker_model())
        assert said[count - 1] == tuple(index + 1 for index in refused.value.photos)
    assert said[0] == () and said[2] == (2,)
    enrolment.remove(2)
    assert enrolment.report()["strangers"] == ()
    checker.rest()
    enrolment.close()


@pytest.mark.parametrize("happens", ["stop", "taken", "crash", "nothing"])
def test_what_happens_in_the_last_step_of_an_enrolment(
    collecting: tuple[Enrolment, Path], happens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolment, path = collecting
    enrolment.check(path)
    avatar_path("ada").parent.mkdir(exist_ok=True)

    def made(paths: list[Path], name: str, *_: object) -> SimpleNamespace:
        assert paths == [path]
        if happens == "stop":
            enrolment.give_up()
        elif happens == "taken":
            avatar_path(name).write_bytes(b"of another window")
        elif happens == "crash":
            raise MemoryError
        return SimpleNamespace(avatar=astronaut_avatar())

    monkeypatch.setattr(making, "enroll", made)
    enrolment.start(Wanted("ada", Statement("oneself")))
    assert enrolment._worker is not None
    enrolment._worker.join(20)
    report, bundle = enrolment.report(), avatar_path("ada")
    assert report["state"] == {"stop": "none", "nothing": "done"}.get(happens, "failed")
    assert path.exists() == (report["state"] == "failed")  # to try again with
    assert bundle.exists() == (happens in ("taken", "nothing"))
    if happens == "taken":
        assert bundle.read_bytes() == b"of another window" and "already" in report["problem"]
    enrolment.close()
    assert not path.exists()


def test_who_shows_that_they_are_there_gets_an_avatar_that_is_locked(
    collecting: tuple[Enrolment, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real picture through the real tracker. What no picture could do is not asked for, a calm look is."""
    enrolment, path = collecting
    enrolment._tracker_model = tracker_model
    enrolment.check(path)
    calm = np.ascontiguousarray(load_photo(MONA_LISA)[80:480, 60:460])
    avatar = replace(astronaut_avatar(), name="ada", descriptors=described(calm), consent={"given": True})
    saved: list[Avatar] = []
    monkeypatch.setattr(making, "enroll", lambda *_: SimpleNamespace(avatar=avatar))
    monkeypatch.setattr(making, "keep_avatar", lambda avatar, *_: saved.append(avatar))
    monkeypatch.setattr("avatar.identity.liveness.random_order", lambda: ())
    enrolment.start(Wanted("ada", Statement("oneself"), proof=True))

    def ended(state: str) -> dict[str, Any]:
        assert enrolment._worker is not None
        enrolment._worker.join(30)
        report = enrolment.report()
        assert report["state"] == state
        return report

    ended("proof")
    assert not path.exists() and not saved and enrolment.see(calm) == {}  # nothing was asked for yet
    with pytest.raises(BusyError, match="ada is being made"):
        enrolment.remove(1)
    enrolment.prove()
    told: set[str] = set()
    while enrolment.report()["state"] == "challenge":
        told.add(enrolment.see(calm).get("say", ""))
        time.sleep(0.03)
    assert "Look straight at the camera, calm, your mouth closed" in told
    assert ended("done")["problem"] is None
    assert saved[0].locked and saved[0].consent["liveness"]["distance"] < OWN and saved[0].consent["given"]


def test_who_does_not_may_keep_it_unlocked_or_give_it_up(
    collecting: tuple[Enrolment, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolment, path = collecting
    enrolment._tracker_model = tracker_model
    enrolment.check(path)
    saved: list[Avatar] = []
    avatar = replace(astronaut_avatar(), name="ada", descriptors=np.zeros((1, 128), np.float32))
    monkeypatch.setattr(making, "enroll", lambda *_: SimpleNamespace(avatar=avatar))
    monkeypatch.setattr(making, "keep_avatar", lambda avatar, *_: saved.append(avatar))
    monkeypatch.setattr(page_challenge, "PATIENCE_S", 0.1)
    with pytest.raises(UsageError, match="no avatar that waits"):
        enrolment.prove()
    enrolment.start(Wanted("ada", Statement("oneself"), proof=True))
    assert enrolment._worker is not None
    enrolment._worker.join(20)
    enrolment.prove()  # without a picture
    enrolment._worker.join(20)
    report = enrolment.report()
    assert report["state"] == "proof" and "no more pictures" in report["problem"] and not saved
    enrolment.leave_unproven()
    assert enrolment.report()["state"] == "done" and not saved[0].locked
    with pytest.raises(UsageError):
        enrolment.leave_unproven()


def test_a_process_that_dies_at_a_clip_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    reason = look_at(tmp_path / "clip").reason
    assert reason == "The clip cannot be read: the process that tried ended with exit code 1. Save it anew."


def test_a_clip_is_taken_instead_of_photos_never_beside_them(links: Links, tmp_path: Path) -> None:
    frames = [enlarged(1.5)[:480, left : left + 640] for left in range(60, 120, 4)]
    clip = write_clip(tmp_path / "selfie.mp4", frames, fps=12).read_bytes()

    async def act(ask: Ask) -> None:
        told = (await ask("POST", "/clip", b"no video"))[1]
        assert told["reason"].startswith("The clip cannot be read as a video") and links.uploads() == []
        number = (await ask("POST", "/photos", jpeg(enlarged(1.5))))[1]["number"]
        status, told = await ask("POST", "/clip", clip)
        assert status == 400 and "one or the other" in told["error"]
        await ask("DELETE", f"/photos/{number}")
        assert (await ask("POST", "/clip", clip))[1] == {"reason": None, "seconds": 1.2, "note": ""}
        status, told = await ask("POST", "/photos", jpeg(enlarged(1.5)))
        assert status == 400 and "one or the other" in told["error"]
        film = {"name": "Film Star", "consent": {"kind": "oneself"}}
        assert (await ask("POST", "/enrolment", film | {"photos": [number]}))[0] == 409  # of another window
        assert (await ask("POST", "/enrolment", film | {"photos": "all"}))[0] == 400
        status, told = await ask("POST", "/enrolment", {"name": "a/b", "consent": {"kind": "oneself"}})
        assert status == 400 and told["about"] == "name"
        await ask("POST", "/enrolment", film | {"photos": []})
        done = (await until(ask, lambda state: state["enrolment"]["state"] in ("done", "failed")))["enrolment"]
        assert (
            done["state"] == "done" and "smile" not in done["missing"] and "lower your chin a little" in done["missing"]
        )
        made = load_avatar(links.home / "avatars" / "Film-Star.avatar")
        assert made.name == "Film Star" and made.consent["kind"] == "oneself" and made.provenance["clip"] == "The clip"
        assert links.uploads() == []
        await ask("DELETE", "/avatars/Film Star")

    owner(links, act)


def test_a_shot_is_judged_and_the_person_told_what_to_do(links: Links) -> None:
    async def act(ask: Ask) -> None:
        good = (await ask("POST", "/check?pose=front", jpeg(enlarged(1.5)[:480, 60:700])))[1]
        assert good["good"] and good["light"] and good["sharp"] and good["pose"]
        kept = (await ask("POST", "/photos?pose=front", jpeg(enlarged(1.5)[:480, 60:700])))[1]
        assert kept["reason"] is None and kept["warnings"] == [] and kept["face"] == good["face"]  # one judge
        left, top, width, height = good["face"]
        assert 0 < left < left + width < 1 and 0 < top < top + height < 1
        turned = (await ask("POST", "/check?pose=left", jpeg(enlarged(1.5)[:480, 60:700])))[1]
        assert not turned["good"] and turned["say"] == "Turn your head to your left"
        assert (await ask("POST", "/check?pose=smile", jpeg(enlarged(1.5)[:480, 60:700])))[1]["good"]
        nobody = (await ask("POST", "/check", jpeg(np.full((480, 640, 3), 120, np.uint8))))[1]
        assert not nobody["good"] and nobody["face"] is None and "no face" in nobody["say"]
        dark = (await ask("POST", "/check", jpeg(darkened(enlarged(1.5)[:480, 60:700], 0.2))))[1]
        assert not dark["good"] and "lamp" in dark["say"] and not dark["light"]
        kept = (await ask("POST", "/photos?pose=front", jpeg(darkened(enlarged(1.5)[:480, 60:700], 0.2))))[1]
        assert kept["warnings"] == ["the face is dark"]
        await ask("DELETE", "/enrolment")
        aside = (await ask("POST", "/check?pose=left&yaw=-20", jpeg(enlarged(1.5)[:480, 60:700])))[1]
        assert aside["good"]  # against a camera at the side
        for wrong in ("yaw=nan", "pitch=x", "yaw=1e9"):
            assert (await ask("POST", f"/check?pose=left&{wrong}", jpeg(enlarged())))[0] == 400
        assert (await ask("POST", "/check?pose=upside-down", jpeg(enlarged())))[0] == 400
        assert (await ask("POST", "/check", b"no picture"))[0] == 400
        assert (await ask("POST", "/check", jpeg(resized(enlarged(), 2.5))))[0] in (400, 413)  # 6.5 megapixels
        assert (await ask("POST", "/check", bytes(3 << 20)))[0] == 413
        assert links.uploads() == []

    owner(links, act)


def test_live_it_shows_what_is_published_and_obeys(links: Links) -> None:
    async def act(ask: Ask) -> None:
        enrolled(links, "live")
        file = enrolled(links, "other")
        save_avatar(locked_to_its_person(load_avatar(file)), file)
        assert next(iter((await ask("GET", "/choices"))[1]["cameras"]))["id"] == CAMERA
        assert (await ask("PATCH", "/live", {"mirror": True}))[0] == 400  # not live yet
        async with (
            ClientSession(links.address) as session,
            session.ws_connect("/api/dashboard/events", protocols=("visavis", f"token.{links.owner}")) as page,
        ):
            assert (await page.receive_json())["type"] == "state"
            label = {"corner": "top-right", "size": 7.5, "left_out": None}
            wish = {"avatar": "live", "camera": CAMERA, "size": "640x480", "label": label}
            assert await ask("POST", "/live", wish) == (200, {})
            assert (await ask("GET", ""))[1]["live"]["wish"]["label"] == label
            assert (await ask("POST", "/live", {"avatar": "live", "camera": CAMERA}))[0] == 400  # already
            await page.send_str("frame")
            await page.send_str("points")
            picture, second, asked, points = None, None, 1, None
            async with asyncio.timeout(90):
                while picture is None or second is None or not points:
                    message = await page.receive()
                    if message.type is WSMsgType.BINARY:
                        assert picture is None, "one picture for each that is asked for"
                        picture = Image.open(io.BytesIO(message.data))
                    elif (told := json.loads(message.data))["type"] == "second":
                        second = told["figures"]
                    elif told["type"] == "state":
                        assert told["live"]["problem"] is None
                    elif told["type"] == "points":
                        points, asked = told["points"], asked - 1
                        assert asked == 0, "points once for each time that they are asked for"
                        if not points:  # no face was tracked yet
                            await page.send_str("points")
                            asked += 1
            middle = np.mean(points, 0)
            assert np.all(np.abs(middle - 0.5) < 0.3), "of the camera's picture, where the face is"
            assert picture.size == (640, 480)
            assert second["fps"] > 0 and 0 < second["p50_ms"] <= second["p99_ms"]

            assert (await ask("DELETE", "/avatars/live"))[0] == 409
            assert (await ask("PATCH", "/avatars/live", {"name": "new"}))[0] == 409
            wanted = {"mirror": True, "paused": True, "gains": {"mouth": 1.5}, "calibrate": True}
            wanted |= {"follow": True, "expression": "relative", "remember": True}
            wanted["label"] = {"corner": "bottom-right", "size": 9, "left_out": None}
            assert await ask("PATCH", "/live", wanted) == (200, {})
            controls = (await ask("GET", ""))[1]["live"]["controls"]
            assert controls["mirror"] and controls["paused"] and controls["gains"]["mouth"] == 1.5
            assert controls["follow"] and controls["expression"] == "relative" and controls["remember"]
            assert controls["label"] == wanted["label"]
            for wrong in (
                {"label": {"corner": "middle", "size": 9, "left_out": None}}, {"label": {"corner": "top-left"}},
                {"label": {"corner": "top-left", "size": 1, "left_out": None}},
                {"label": {"corner": "top-left", "size": 9, "left_out": " "}},
                {"gains": {"nose": 1}}, {"mirror": "yes"}, {"gains": {"mouth": True}}, {"loop": True},
                {"expression": "else"}, {"remember": False}, {"unlock": "nobody is kept out"},
            ):  # fmt: skip
                assert (await ask("PATCH", "/live", wrong))[0] == 400
            unlabelled = {"label": {"corner": "top-left", "size": 9, "left_out": "a rehearsal"}}
            assert await ask("PATCH", "/live", unlabelled) == (200, {})
            assert any("(a rehearsal)" in line for line in (await ask("GET", ""))[1]["live"]["said"])
            assert await ask("DELETE", "/drivers") == (200, {})
            assert not (await ask("GET", ""))[1]["live"]["controls"]["remember"]
            assert await ask("PATCH", "/live", {"avatar": "other"}) == (200, {})
            await until(ask, lambda state: state["live"]["wish"]["avatar"] == "other")  # once it is on the stage
            assert (await ask("GET", ""))[1]["live"]["locked"] is None  # it is known, or is not looked for yet
            assert (await ask("PATCH", "/live", {"unlock": " "}))[0] == 400
            assert await ask("PATCH", "/live", {"unlock": "a colleague tests it"}) == (200, {})
            assert [kept["reason"] for kept in load_avatar(file).consent["unlocked"]] == ["a colleague tests it"]
            assert await ask("DELETE", "/live") == (200, {})
            state = await until(ask, lambda state: state["live"]["state"] == "off")
            assert state["live"]["problem"] is None and state["live"]["controls"] is None
        for name in ("live", "other"):
            assert (await ask("DELETE", f"/avatars/{name}"))[0] == 200

    owner(links, act)


def test_a_live_session_that_cannot_start_says_why(links: Links) -> None:
    async def act(ask: Ask) -> None:
        enrolled(links, "lone")
        assert (await ask("GET", "/choices"))[1]["virtual_camera"]["problem"]
        wish = {"avatar": "lone", "camera": CAMERA, "virtual_camera": True}
        assert await ask("POST", "/live", wish) == (200, {})
        state = await until(ask, lambda state: state["live"]["state"] == "off")
        assert "virtual camera" in state["live"]["problem"].lower()
        await ask("DELETE", "/avatars/lone")

    owner(links, act)


def test_without_a_camera_it_idles_and_all_is_exchanged_while_it_goes_on(links: Links) -> None:
    async def act(ask: Ask) -> None:
        async def live(**changes: object) -> Any:
            """What holds after a change, or the refusal."""
            status, told = await ask("PATCH", "/live", changes)
            return (await ask("GET", ""))[1]["live"] if status == 200 else told["error"]

        wish = {"avatar": "mona_lisa", "camera": "", "background": "picture"}
        assert (await ask("POST", "/live", wish))[0] == 400  # none was sent
        for refused in (picture_bomb(), zip_bomb(), b""):
            status, told = await ask("POST", "/background", refused)
            assert status == 400 and str(links.home) not in told["error"]
        assert (await ask("POST", "/background", bytes(MOST_BYTES + 1)))[0] == 413
        blue = np.full((60, 80, 3), (10, 20, 200), np.uint8)
        assert await ask("POST", "/background", jpeg(blue, "PNG")) == (200, {})
        assert links.uploads() == []
        assert await ask("POST", "/live", wish) == (200, {})
        state = await until(ask, lambda state: state["live"]["seconds"] or state["live"]["problem"], 120)
        assert state["live"]["wish"]["camera"] == "" and state["live"]["seconds"][-1]["idle"]

        told = await live(recording=True, size="640x480")
        assert told["wish"]["recording"] and told["wish"]["size"] == "640x480" and told["recorded"] is None
        name = told["recording"]["name"]
        assert (await ask("GET", f"/recordings/{name}"))[0] == 404  # not whole yet
        assert "one size" in await live(size="512x512")
        assert "signed as one avatar's" in await live(avatar="woman_2")
        told = await live(camera=CAMERA, background="#203040", mirror=True)
        assert (told["wish"]["camera"], told["wish"]["avatar"], told["wish"]["mirror"]) == (CAMERA, "mona_lisa", True)
        await until(ask, lambda state: not state["live"]["seconds"][-1]["idle"])
        for change in ({"camera": "nowhere"}, {"size": "9x9"}, {"background": "/etc/passwd"}, {"avatar": "nobody"}):
            assert isinstance(await live(**change, mirror=False), str)
        assert "virtual camera" in (await live(virtual_camera=True)).lower()
        now = (await ask("GET", ""))[1]["live"]
        assert now["wish"] == told["wish"] and now["state"] == "running"

        told = await live(recording=False, size="512x512", camera=CLIP)
        assert told["recording"] is None and told["recorded"]["name"] == name and told["wish"]["size"] == "512x512"
        told_of = told["recorded"]
        assert (await live(avatar="woman_2"))["wish"]["avatar"] == "woman_2"
        status, video = await ask("GET", f"/recordings/{name}")
        assert status == 200 and len(video) == told["recorded"]["bytes"] and told["recorded"]["seconds"] > 0
        with av.open(io.BytesIO(video), "r") as recorded:
            frames = [frame.to_ndarray(format="rgb24") for frame in recorded.decode(video=0)]
        assert {frame.shape for frame in frames} == {(480, 640, 3)}
        assert frames[0][5, 5, 2] > 150 and frames[0][5, 5, 0] < 60  # the corner is the picture's blue
        assert np.abs(frames[-1][5, 5].astype(int) - (0x20, 0x30, 0x40)).max() < 12
        assert min(frame.mean() for frame in frames) > 20  # never black
        (file,) = (links.home / "recordings").glob("*.mp4")
        assert file.stat().st_mode & 0o077 == 0
        assert (await ask("POST", f"/recordings/{name}/verify"))[1]["words"]
        status, told = await ask("POST", f"/recordings/{name}/show")
        assert status == 400 and str(file) in told["error"]  # no desktop here
        for number, left in (("1", video), ("2", b"no video")):  # by killed programs
            part = file.with_name(f"{file.stem}.{number}.part.mp4")
            part.write_bytes(left)
            if number == "1":
                assert (await ask("GET", "/choices"))[1]["cut_off"] == []  # it may be written just now
            os.utime(part, (0, int(number)))
        names = [f"{file.stem}.{number}.part.mp4" for number in "21"]
        assert [one["name"] for one in (await ask("GET", "/choices"))[1]["cut_off"]] == names
        status, kept = await ask("POST", f"/recordings/{names[1]}/keep")
        assert status == 200 and kept == {**told_of, "name": f"{file.stem}-2.mp4", "seconds": kept["seconds"]}
        assert kept["seconds"] > 0 and (await ask("GET", f"/recordings/{kept['name']}"))[0] == 200
        status, refused = await ask("POST", f"/recordings/{names[0]}/keep")
        assert status == 400 and "deleted" in refused["error"]
        assert (await ask("DELETE", f"/recordings/{names[0]}")) == (200, {})
        assert (await ask("DELETE", f"/recordings/{file.name}"))[0] == 404 and file.exists()  # a whole one
        (links.home / "secret.mp4").write_bytes(b"x")
        for odd in ("..%2Fsecret.mp4", "%2e%2e%2fsecret.mp4", "nothing.mp4", "..", "%00"):
            assert (await ask("GET", f"/recordings/{odd}"))[0] in (403, 404)
        state = await until(ask, lambda state: state["live"]["wish"]["camera"] == "")  # which has ended
        assert state["live"]["state"] == "running" and "camera.mjpeg has ended." in state["live"]["said"][-1]
        await ask("DELETE", "/live")
        assert (await until(ask, lambda state: state["live"]["state"] == "off"))["live"]["problem"] is None

    owner(links, act)


def test_a_damaged_bundle_is_listed_with_its_problem(links: Links) -> None:
    async def act(ask: Ask) -> None:
        (links.home / "avatars" / "broken.avatar").write_bytes(b"PK no")
        (card,) = [card for card in (await ask("GET", ""))[1]["avatars"] if card["name"] == "broken"]
        assert "damaged" in card["problem"]
        assert (await ask("GET", "/avatars/broken/thumbnail"))[0] == 404
        assert (await ask("DELETE", "/avatars/broken"))[0] == 200

    owner(links, act)


def test_too_many_pages_are_refused(links: Links) -> None:
    async def run() -> None:
        async with ClientSession(links.address, headers={"Authorization": f"Bearer {links.owner}"}) as session:
            pages = [await session.ws_connect("/api/dashboard/events") for _ in range(4)]
            async with session.get("/api/dashboard/events") as answer:
                assert answer.status == 429
            for page in pages:
                await page.close()

    asyncio.run(run())


KILLED = """
import os, pathlib
from avatar.dashboard.upload_folder import UploadFolder
path = UploadFolder().path
path.joinpath("photo-1").write_bytes(b"x")
print(path, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def upload_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_killed_programs_uploads_are_removed_and_nobody_elses(upload_home: Path) -> None:
    mine = UploadFolder()
    (mine.path / "photo-1").write_bytes(b"x")
    killed = Path(subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True).stdout.strip())
    assert (killed / "photo-1").is_file()
    uploads, long_ago = upload_home / "uploads", time.time() - 400 * 86400
    others = [uploads / "holiday", uploads / "upload-1234-abcdefgh", uploads / "upload-abcdefgh"]
    for folder in others:  # a person's own, and two whose owner nobody knows
        folder.mkdir()
        (folder / "photo-1").write_bytes(b"x")
        os.utime(folder, (long_ago, long_ago))
    os.utime(mine.path, (long_ago, long_ago))
    remove_stale()
    assert not killed.exists() and all((folder / "photo-1").is_file() for folder in [mine.path, *others])
    mine.remove()
    assert sorted(uploads.iterdir()) == sorted(others)


def test_uploads_are_not_removed_through_links(upload_home: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    uploads = upload_home / "uploads"
    for folder in (pictures, uploads):
        folder.mkdir(parents=True)
    for name in ("photo-1", "picture"):
        (pictures / name).write_bytes(b"x")
    (uploads / "upload-abcdefgh").symlink_to(pictures)
    (uploads / "upload-abcdefgh.lock").touch()
    stopped = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    killed = Path(stopped.stdout.strip())
    (killed / "photo-2").symlink_to(pictures / "picture")
    (killed / "notes").write_bytes(b"x")
    remove_stale()
    assert len(list(pictures.iterdir())) == 2
    assert sorted(path.name for path in killed.iterdir()) == ["notes", "photo-2"]  # nothing that was uploaded

    elsewhere = tmp_path / "elsewhere"
    uploads.rename(elsewhere)
    uploads.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    remove_stale()
    with pytest.raises(InputError, match="is a link"):
        UploadFolder()
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_closed_terminal_ends_it_as_ctrl_c_does(name: str) -> None:
    script = (
        "import time; from avatar.cli.stop import sigterm_as_ctrl_c; sigterm_as_ctrl_c()\n"
        "try: print(flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt: time.sleep(0.2); print('cleaned up')"
    )
    heard = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite under nohup hands on that it is ignored
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGHUP, heard)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(getattr(signal, name))
    if name == "SIGHUP":  # of the shell, and of the kernel
        time.sleep(0.05)
        process.send_signal(getattr(signal, name))
    assert process.communicate(timeout=30)[0] == "cleaned up\n"

"""The page where a file is dropped: what it answers, whom it lets in, what it refuses, and that nothing stays."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("aiohttp")

from aiohttp import ClientSession

from avatar.core.errors import InputError
from avatar.dashboard import verify_page
from avatar.trust.embedding import Marker
from avatar.trust.mark_message import MarkMessage
from benchmarks.hostile import picture_bomb
from tests.clips import write_clip
from tests.portraits import astronaut

pytestmark = pytest.mark.realtime

MESSAGE = MarkMessage("0123456789", date(2026, 11, 30))


@contextmanager
def page(home: Path) -> Iterator[tuple[str, str]]:
    """`visavis verify --page`: its address and token. Its end leaves nothing behind, and Ctrl-C ends it well."""
    process = subprocess.Popen(
        [sys.executable, "-m", "avatar.cli.main", "verify", "--page", "--no-open", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "VISAVIS_HOME": str(home)},
    )
    assert process.stdout is not None
    try:
        link = json.loads(process.stdout.readline())["page"]
        address, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/#owner=(\S+)", link).groups()  # type: ignore[union-attr]
        yield address, token
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert stored(home) == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    home = tmp_path_factory.mktemp("verify")
    with page(home) as (address, token):
        yield home, address, token


def stored(home: Path) -> list[Path]:
    return [path for path in (home / "uploads").rglob("*") if path.suffix != ".lock"]


def drop(opened: tuple[Path, str, str], name: str, data: Any) -> list[dict[str, Any]]:
    """The lines of the answer. When the last one comes, the file is gone."""
    home, address, token = opened

    async def run() -> list[dict[str, Any]]:
        async with (
            ClientSession(address, headers={"Authorization": f"Bearer {token}"}) as session,
            session.post("/api/verify", params={"name": name}, data=data) as answer,
        ):
            lines = [json.loads(line) async for line in answer.content]
            assert stored(home) == []
            return lines

    return asyncio.run(run())


def png(picture: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


def test_a_marked_video_is_told_with_its_day(opened: tuple[Path, str, str], tmp_path: Path) -> None:
    marked = Marker(MESSAGE, 512, 512).mark(astronaut())
    clip = write_clip(tmp_path / "clip.mp4", [marked] * 12, fps=4)
    *shares, last = drop(opened, "sent to me.mp4", clip.read_bytes())
    assert shares[0] == {"share": 0.0}
    assert last["found"]["mark"]["bundle"] == MESSAGE.bundle
    whose = f"the avatar {MESSAGE.bundle}, which is not among those of this computer"
    assert last["words"][0] == f"Marked by visavis: it shows {whose}, made on 2026-11-30."
    assert "below 1 in a million" in last["words"][1]


def test_an_unmarked_picture_is_not_called_real(opened: tuple[Path, str, str]) -> None:
    last = drop(opened, "../../holiday.png", png(astronaut()[:200, 150:350]))[-1]
    assert last["words"] == ["No mark found: this is not a proof that the picture is real.", "Looked at: 1 picture."]
    assert last["found"]["marked"] is False


@pytest.mark.parametrize(
    "name, data",
    [("notes.mp4", b"no video"), ("bomb.png", picture_bomb()), ("x" * 500, b"\0" * 99)],
    ids=["text", "bomb", "name"],
)
def test_what_cannot_be_looked_at_is_refused_in_a_line(opened: tuple[Path, str, str], name: str, data: bytes) -> None:
    (last,) = drop(opened, name, data)[-1:]
    assert list(last) == ["error"] and "\n" not in last["error"]
    assert "uploads" not in last["error"] and len(last["error"]) < 400


def test_what_is_too_large_is_refused_while_it_comes(opened: tuple[Path, str, str]) -> None:
    """By its length before a byte of it is read."""
    home, address, token = opened

    async def run() -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}", "Content-Length": str(verify_page.LIMIT.most_bytes + 1)}
        async with ClientSession(address, headers=headers) as session:

            async def nothing_yet() -> AsyncIterator[bytes]:
                yield b"\0"
                await asyncio.sleep(20)

            async with session.post("/api/verify", data=nothing_yet()) as answer:
                return answer.status, (await answer.json())["error"]

    status, why = asyncio.run(run())
    assert (status, why) == (413, "The file has more than 2048 MB. Cut out some seconds of it: five are enough.")
    assert stored(home) == []


def test_one_is_looked_at_at_a_time_and_who_goes_away_leaves_nothing(opened: tuple[Path, str, str]) -> None:
    home, address, token = opened

    async def run() -> None:
        async with ClientSession(address, headers={"Authorization": f"Bearer {token}"}) as session:

            async def slowly() -> AsyncIterator[bytes]:
                yield b"\0" * 100_000
                await asyncio.sleep(60)

            first = asyncio.create_task(session.post("/api/verify", data=slowly()))
            await until(lambda: any(path.is_file() for path in stored(home)))
            async with session.post("/api/verify", data=b"x") as answer:
                assert answer.status == 409
                assert (await answer.json())["error"] == "Another file is being looked at. Wait for its answer."
            first.cancel()
            await until(lambda: stored(home) == [])

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.05)


def test_only_the_link_opens_it(opened: tuple[Path, str, str]) -> None:
    _, address, token = opened

    async def run() -> None:
        async with ClientSession(address) as session:
            for headers, status in (
                ({}, 401),
                ({"Authorization": f"Bearer {token}", "Origin": "https://elsewhere.example"}, 403),
                ({"Authorization": f"Bearer {token}", "Host": "elsewhere.example"}, 421),
            ):
                async with session.post("/api/verify", headers=headers, data=b"x") as answer:
                    assert answer.status == status
            async with session.get("/") as answer:
                assert "Was this picture made by visavis?" in await answer.text()
                assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
            async with session.get("/index.html") as answer:
                assert answer.status == 404

    asyncio.run(run())


ASKS = """
import socket, sys
from avatar.dashboard import verify_process
from avatar.live import mark_report
mark_report.report_on_file = lambda *_: socket.socket(socket.AF_INET)
sys.argv[1:] = ["film.mp4"]
verify_process.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes it away")
def test_what_looks_at_it_has_no_network() -> None:
    done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "PermissionError" in done.stderr


def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a decoder does, of a file that was made for it: here by a Python that ends at once."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="the process that tried ended with exit code 1"):
        asyncio.run(verify_page.look_at(tmp_path / "film.mp4", lambda said: asyncio.sleep(0)))

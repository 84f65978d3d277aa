"""Every attack of benchmarks/attacks.py is refused, by a real `visavis call` and by the commands that read files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.attacks import ATTACKS, Server, carry_out, running

SLOW = {"slow loris", "rooms of strangers, 3 kinds"}  # half a minute of waiting, for whoever runs the command


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("attacked")) as server:
        yield server


@pytest.mark.e2e
@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in SLOW])
def test_it_is_refused(server: Server, name: str) -> None:
    outcome = carry_out(name, server)
    assert outcome.refused, outcome

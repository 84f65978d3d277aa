"""The tracker's library would phone home: the kernel refuses it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from avatar.sandbox.no_network import ALLOW_VARIABLE, refuse_network
from avatar.sandbox.seccomp import why_not_refusable
from avatar.tracking.model_asset import tracker_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guarantee is Linux's")


def in_a_process(code: str, allow: bool = False) -> str:
    environment = {"PATH": "/usr/bin:/bin"} | ({ALLOW_VARIABLE: "1"} if allow else {})
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TRY = """
    import socket, subprocess, sys, threading
    from avatar.sandbox.no_network import refuse_network

    def tried(family):
        try:
            socket.socket(family).close()
            return "open"
        except PermissionError:
            return "refused"

    early, found = threading.Event(), []
    thread = threading.Thread(target=lambda: (early.wait(), found.append(tried(socket.AF_INET))))
    thread.start()
    server = socket.create_server(("127.0.0.1", 0))
    print("reason", refuse_network())
    print("internet", tried(socket.AF_INET), tried(socket.AF_INET6))
    print("local", tried(socket.AF_UNIX))
    early.set()
    thread.join()
    print("thread", found[0])
    child = "import socket\\ntry: socket.socket(); print('child open')\\nexcept PermissionError: print('child refused')"
    print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip())
    try:
        socket.getaddrinfo("example.org", 443)
        print("names found")
    except OSError:
        print("names refused")
"""


def test_threads_children_and_name_lookups_lose_the_network_and_local_sockets_stay() -> None:
    lines = in_a_process(TRY).splitlines()
    assert lines == [
        "reason None",
        "internet refused refused",
        "local open",
        "thread refused",
        "child refused",
        "names refused",
    ]


def test_without_the_filter_the_sockets_are_there() -> None:
    lines = in_a_process(TRY, allow=True).splitlines()
    assert lines[1] == "internet open open"
    assert lines[3:5] == ["thread open", "child open"]


def test_another_system_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "only Linux" in str(refuse_network()) and "only Linux" in str(why_not_refusable())


@pytest.mark.parametrize(
    ("first", "internet"), [("tracker_model_then_offline", "refused"), ("tracker_model_and_note", "open")]
)
def test_a_command_gives_up_its_own_network_unless_it_needs_it(first: str, internet: str) -> None:
    said = in_a_process(
        f"""
        import os, socket
        os.environ["VISAVIS_TRACKER_MODEL"] = {str(tracker_model())!r}
        from avatar.cli.terminal import Terminal
        from avatar.cli.offline import {first}
        {first}(Terminal())
        try:
            socket.socket().close()
            print("open")
        except PermissionError:
            print("refused")
        """
    )
    assert said == f"{internet}\n"  # and no note, which Linux does not need

"""The command line as a whole: help, exit codes, and errors without tracebacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from avatar.cli import commands
from avatar.cli import main as cli
from avatar.core.errors import DeviceError, InputError, UsageError
from avatar.live.framing import parse_size
from avatar.sources.camera import open_camera
from engines.engine import EngineFailure

COMMAND = [sys.executable, "-m", "avatar.cli.main"]


def run(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"} | ({"VISAVIS_HOME": str(home)} if home else {})
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=120)


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in commands.COMMANDS:
        assert name in done.stdout


def test_all_that_is_missing_is_told_at_once_before_an_engine_is_opened(tmp_path: Path) -> None:
    done = run("live", "nobody", "--camera", "no-such-video.mp4", "--to", "out.nothing", home=tmp_path)
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert len(told) == 3 and told[0].startswith("Error: There is no avatar 'nobody'.")
    assert told[1].startswith("  no-such-video.mp4: no such file.") and told[2].startswith("  --to out.nothing")


def test_enroll_alone_says_what_there_is_to_do_and_a_clip_is_known_by_its_name(tmp_path: Path) -> None:
    told = run("enroll", home=tmp_path).stderr
    for way in ("PHOTO.jpg", "CLIP.mp4", "--camera 0", "visavis open"):
        assert way in told
    for words, said in (
        (["clip.MP4"], "Give the avatar a name"),
        (["clip.mp4", "--name", "x"], "clip.mp4: there is no such file. Check the path of the video."),
        (["photo.jpg", "clip.mp4", "--name", "x"], "Give photos, or one clip"),
    ):
        done = run("enroll", *words, home=tmp_path)
        assert done.returncode in (1, 2) and said in done.stderr


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"visavis {version('visavis')}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["doctor", "--no-such-option"],
        ["doctor", "surplus"],
        ["enroll"],
        ["drive"],
        ["live"],
    ],
)
def test_bad_use_is_exit_code_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ["enroll", "no-such-photo.jpg", "--name", "x"],
        ["drive", "nobody", "--input", "no-such-video.mp4", "--output", "out.mp4"],
        ["live", "nobody", "--camera", "no-such-video.mp4", "--to", "out.mp4"],
        ["profile", "nobody"],
        ["verify", "no-such-video.mp4"],
    ],
)
def test_a_missing_input_is_one_message(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, home=tmp_path)
    assert done.returncode in (1, 2)
    assert "\nError: " in "\n" + done.stderr, done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("command", ["enroll photo.jpg --name x", "profile x", "drive x -i in.mp4 -o out.mp4"])
def test_a_home_that_is_no_folder_names_the_mend(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        done = run(*command.split(), home=home)
        assert done.returncode == 1
        assert f"Error: {home} cannot be the folder" in done.stderr
        assert "Set VISAVIS_HOME to a folder that you own." in done.stderr


@pytest.mark.parametrize("number", ["²", "/dev/video²", ""])
def test_what_only_looks_like_a_cameras_number(number: str) -> None:
    with pytest.raises(InputError, match=r"no such file\. --camera takes a webcam's number"):
        open_camera(number)


def test_what_only_looks_like_a_size() -> None:
    with pytest.raises(UsageError, match="is not WIDTHxHEIGHT"):
        parse_size("²x²")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e999", "two", ""])
def test_training_options_are_checked(value: str) -> None:
    pytest.importorskip("torch")
    words = ["--data", "x", "--out", "y", "--set", f"weight_l1={value}", "--dry-run"]
    with pytest.raises(UsageError, match=f"^--set weight_l1={value}: "):
        commands.command_app("train")(words, prog_name="visavis", standalone_mode=False)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (DeviceError("/dev/video0 is busy."), 1),
        (UsageError("--to x is not known."), 2),
        (EngineFailure("no engine."), 1),
        (EngineFailure("there is no engine 'x'"), 1),
        (PermissionError(13, "Permission denied", "out.mp4"), 1),
        (OSError(28, "No space left on device"), 1),
        (MemoryError(), 1),
        (RecursionError("maximum recursion depth exceeded"), 1),
        (UnicodeEncodeError("utf-8", "a\udcffb.mp4", 1, 2, "surrogates not allowed"), 1),
    ],
)
def test_errors_become_a_message_and_an_exit_code(
    error: Exception, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "app", fail)
    monkeypatch.delenv("VISAVIS_DEBUG", raising=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == exit_code
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert ".." not in said and said.rstrip().endswith(".")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_missing_extra_is_named() -> None:
    """As in the base install, where torch is not there."""
    code = (
        "import sys\nfrom avatar.cli import main\nsys.argv = ['visavis', 'train', '--help']\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'avatar.cli.train':\n"
        "            raise ModuleNotFoundError('No module named torch', name='torch')\n"
        "sys.meta_path.insert(0, Finder())\nmain.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install 'visavis[train]'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["live", "ada"], ["doctor"], ["enroll", "p.jpg", "--name", "a"], ["finetune", "a"]]
)
def test_a_package_that_does_not_start_is_one_message(arguments: list[str], tmp_path: Path) -> None:
    """As OpenCV where a library of the system is missing: not taken for one that is not installed."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file', name='cv2')\n")
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])]),
            "VISAVIS_HOME": str(tmp_path),
        },
        timeout=60,
    )
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr and "Traceback" not in done.stderr and "[train]" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_is_quiet() -> None:
    code = (
        "import os, signal\nfrom avatar.cli import commands, main\n"
        "@commands.app.command('wait')\ndef wait() -> None:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "import sys\nsys.argv = ['visavis', 'wait']\nmain.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + signal.SIGINT
    assert "Traceback" not in done.stderr

"""README.md and docs/: visavis takes every command in them, every link leads somewhere, and people can read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from avatar.cli.commands import COMMANDS, app, command_app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN = ("visavis", "torchrun", "python -m avatar.cli.main")  # how a line begins that runs it
MODULE = "avatar.cli.main"
# Commands that are run here, since they need nothing and change nothing of anybody's; and what the others need.
RUN = {"", "avatars", "cameras", "config", "doctor", "engines", "forget"}
NEEDS = {
    "avatars delete": "an avatar",
    "avatars export": "an avatar",
    "avatars import": "an avatar's file",
    "avatars rename": "an avatar",
    "call": "somebody to open the page",
    "config --write": "a configuration folder of one's own",
    "dataset build": "videos",
    "dataset check": "shards",
    "dataset pack": "shards",
    "dataset summary": "shards",
    "drive": "an avatar and a video",
    "engines clean": "what others may be using",
    "engines measure": "half a minute",
    "enroll": "photos",
    "evaluate": "clips, and hours",
    "export": "torch, and a minute",
    "finetune": "an avatar, and minutes",
    "forget --all": "an answer",
    "install-desktop": "a desktop",
    "live": "an avatar and a camera",
    "open": "a browser",
    "profile": "an avatar",
    "record-motion": "a camera",
    "train": "shards, and hours",
    "verify": "a video",
}


@dataclass(frozen=True)
class Line:
    """A command of a page. whole: as somebody would type it; else it is named in a sentence, perhaps in part."""

    page: str
    text: str
    whole: bool

    @property
    def arguments(self) -> list[str]:
        words = shlex.split(self.text.replace("…", "ANY"), comments=True)
        return words[words.index(MODULE) + 1 :] if MODULE in words else words[1:]


def lines() -> Iterator[Line]:
    for page in PAGES:
        text, fenced = re.sub(r" \\\n\s*", " ", page.read_text("utf-8")), False
        for line in text.splitlines():
            fenced ^= line.startswith("```")
            typed = line.strip()
            if (fenced or line.startswith("    ")) and typed.startswith(OWN):
                yield Line(page.name, typed, True)
        for span in re.findall(r"`(visavis(?: [^`]*)?)`", re.sub(r"\s*\n\s*(?=[^`\n]*`)", " ", text)):
            yield Line(page.name, span, False)


LINES = sorted(set(lines()), key=lambda line: (line.page, line.text))


def name_of(arguments: list[str]) -> str:
    """Of the command, with that of its group, and with an option that makes it do much more."""
    words = [word for word in arguments[:2] if re.fullmatch("[a-z-]+", word) and not word.startswith("-")]
    if not words:
        return ""
    command = typer.main.get_command(command_app(words[0])) if words[0] in COMMANDS else None
    group = bool(getattr(command, "commands", None))
    name = " ".join(words[: 1 + group])
    return " ".join([name, *(option for option in ("--all", "--write") if option in arguments)])


def parse(arguments: list[str]) -> None:
    """Raises what the parser raises; runs nothing."""
    if not arguments or arguments[0].startswith("-"):  # whose options act when they are read
        known = [option for parameter in typer.main.get_command(app).params for option in parameter.opts]
        assert set(arguments) <= set(known)
        return
    assert arguments[0] in COMMANDS, f"there is no command {arguments[0]}"
    command: Any = typer.main.get_command(command_app(arguments[0]))
    context = command.make_context(arguments[0], arguments[1:])
    if getattr(command, "commands", None) and (left := [*getattr(context, "_protected_args", []), *context.args]):
        name, below, rest = command.resolve_command(context, left)
        below.make_context(name, rest, parent=context)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.page}: {line.text}")
def test_the_command_line_takes_it(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        parse(line.arguments)
    except typer.Exit:
        pass  # it printed its version or help
    except Exception as refused:
        missing = type(refused).__name__ in ("MissingParameter", "NoArgsIsHelpError")
        assert missing and not line.whole, f"{line.page}: {line.text}: {getattr(refused, 'message', refused)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app([name, "--help"], prog_name="visavis", standalone_mode=False) in (None, 0)
    usage, _, rest = capsys.readouterr().out.partition("\n")[2].partition("\n")
    assert f"Usage: visavis {name}" in usage
    assert "xample" in rest
    assert f"visavis {name} " in rest or name == "doctor"


def test_each_is_run_here_or_needs_what_is_named() -> None:
    named = {name_of(line.arguments) for line in LINES}
    groups = {name.split()[0] for name in NEEDS | dict.fromkeys(RUN, "") if " " in name}
    assert named - groups - set(RUN) - set(NEEDS) == set(), "run it, or say what it needs"
    assert set(NEEDS) <= named, "no page tells of it"


@pytest.mark.parametrize("name", sorted(RUN))
def test_it_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISAVIS_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    code = app(name.split() or ["--version"], standalone_mode=False)
    assert code in (None, 0)
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_can_be_read(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    cells = [cell for line in text.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert max(map(len, cells), default=0) <= 300
    assert not re.search(r"(?<![\w~.])/(?:work|home|root)/\w", text), "a path of one computer"


def test_targets_and_programs_that_pages_name_are_there() -> None:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    targets = set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    programs = set(re.findall(r"\b(?:scripts|benchmarks|examples)/[\w/]+\.(?:py|sh)\b", text))
    assert [name for name in sorted(programs) if not (ROOT / name).is_file()] == []


def test_the_readme_is_short_and_begins_with_a_picture() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.split()) <= 900
    assert text.index("![") < 40


def test_pictures_are_small() -> None:
    pictures = [path for path in (ROOT / "docs" / "pictures").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in pictures) < 5e6
    used = "".join(page.read_text("utf-8") for page in PAGES) + (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [path.name for path in pictures if path.name not in used] == []

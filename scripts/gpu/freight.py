"""What travels to a GPU machine, and its weight: tracked files count, so weights that no stage needs are moved aside.

    scripts/gpu/freight.py list [CARRIED…]          what would travel, and how much of the limit it takes
    scripts/gpu/freight.py -- COMMAND               move aside, run, put back, whatever ends it
    scripts/gpu/freight.py away | back              the two halves by hand

What a kill left aside is put back at the next start. For a tool that is no command, hold the weights aside meanwhile:
scripts/gpu/freight.py -- sleep 1500
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = "avatar/weights"
NEEDED = (
    "face_model.safetensors",
    *(f"fast-3/{name}.safetensors" for name in ("embedder", "mouth", "eye")),
)  # by a stage
LIMIT_MB = 60.0
HEAVY_MB = 0.2  # from here on a file has a line of its own
JOURNAL = "aside.json"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def aside() -> Path:
    """Inside of git's own folder, which does not travel."""
    return ROOT / git("rev-parse", "--git-dir").strip() / "gpu-aside"


def travelling(carried: list[str]) -> dict[str, int]:
    """Bytes of every file that would travel: tracked, untracked but not ignored, and carried."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    paths = {name: ROOT / name for name in names if name}
    for name in carried:
        path = ROOT / name
        if not path.exists():
            sys.exit(f"{name} is not here: nothing of that name would travel.")
        inside = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        paths |= {os.path.relpath(p, ROOT): p for p in inside}
    return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}


def show(carried: list[str]) -> None:
    sizes = travelling(carried)
    rest = 0
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if size >= HEAVY_MB * 1e6:
            print(f"{size / 1e6:8.2f} MB  {name}")
        else:
            rest += size
    total = sum(sizes.values()) / 1e6
    print(f"{rest / 1e6:8.2f} MB  {len(sizes)} files in all, the smaller ones together")
    print(f"{total:8.2f} MB  of {LIMIT_MB:.0f} MB: {'fits' if total <= LIMIT_MB else 'TOO MUCH'}")
    if total > LIMIT_MB:
        sys.exit(1)


def is_heavy(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > HEAVY_MB * 1e6


def away() -> None:
    """Write down what is moved before it is moved, so that a kill at any moment loses nothing."""
    back()
    tracked = [name for name in git("ls-files", "-z", WEIGHTS).split("\0") if name]
    needed = {f"{WEIGHTS}/{name}" for name in NEEDED}
    heavy = [name for name in tracked if name not in needed and is_heavy(ROOT / name)]
    place = aside()
    place.mkdir(parents=True, exist_ok=True)
    (place / JOURNAL).write_text(json.dumps(heavy))
    for name in heavy:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(ROOT / name, place / name)
    print(f"{len(heavy)} files of {WEIGHTS} are moved aside, into {place}")


def back() -> None:
    """Put back all that is aside. A file that has come back some other way, such as by git checkout, stays."""
    place = aside()
    if not (place / JOURNAL).is_file():
        return
    names = json.loads((place / JOURNAL).read_text())
    for name in names:
        if (place / name).is_file() and not (ROOT / name).exists():
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(place / name, ROOT / name)
    shutil.rmtree(place)
    print(f"{len(names)} files of {WEIGHTS} are back")


def around(command: list[str]) -> int:
    """Run a command with the weights aside."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        away()
        return subprocess.run(command, cwd=ROOT).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not keep them from coming back
        back()


def main() -> int:
    match sys.argv[1:]:
        case ["list", *carried]:
            show(carried)
        case ["away"]:
            away()
        case ["back"]:
            back()
        case ["--", *command] if command:
            return around(command)
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

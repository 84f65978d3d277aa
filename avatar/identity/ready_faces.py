"""The faces that come with visavis: people who do not exist, and two paintings. Found by name, never changed."""

from __future__ import annotations

from pathlib import Path

from avatar.core.errors import UsageError

READY = Path(__file__).parents[1] / "ready"  # with a table of rights
PAINTINGS = {"girl_with_a_pearl_earring": "Girl with a Pearl Earring", "mona_lisa": "Mona Lisa"}


def ready_names() -> list[str]:
    """Of all of them, also of those over which an avatar of the user's has the same name."""
    return sorted(path.stem for path in READY.glob("*.avatar"))


def ready_face(name: str) -> Path | None:
    """The bundle of that name; None where none comes with visavis."""
    return READY / f"{name}.avatar" if name in ready_names() else None


def title(path: Path) -> str:
    """What people read on the bundle of one."""
    return PAINTINGS.get(path.stem, path.stem.replace("_", " ").capitalize())


def refuse_ready_face(path: Path) -> None:
    """Raises UsageError for the bundle of one: it stays as it is."""
    if path.parent == READY:
        raise UsageError(
            f"{path.stem} comes with visavis: it can be neither renamed nor deleted nor changed.",
            "Enrol an avatar of your own: `visavis enroll PHOTO… --name NAME`.",
            "Make an avatar of your own.",
        )

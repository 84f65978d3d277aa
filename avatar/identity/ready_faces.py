"""The faces that come with visavis: people who do not exist, and two paintings. Found by name, never changed."""

from __future__ import annotations

from pathlib import Path

from avatar.core.avatar_name import file_stem
from avatar.core.errors import UsageError

READY = Path(__file__).parents[1] / "ready"  # with a table of rights
FACES = {  # in the order in which they are offered: what people read
    "mona_lisa": "Mona Lisa",
    "woman_1": "Zola",
    "man_2": "Henry",
    "woman_3": "Leila",
    "man_1": "Jun",
    "woman_4": "Clara",
    "woman_2": "Ruth",
    "girl_with_a_pearl_earring": "Girl with a Pearl Earring",
}


def ready_names() -> list[str]:
    """Of all of them, also of those over which an avatar of the user's has the same name."""
    return list(FACES)


def ready_face(name: str) -> Path | None:
    """The bundle of that name or title, in small or capital letters; None where none comes with visavis.

    Raises UsageError for what is no name.
    """
    asked = _key(name)
    return next((READY / f"{stem}.avatar" for stem, title in FACES.items() if asked in (_key(stem), _key(title))), None)


def shown_title(name: str, path: Path) -> str:
    """What people read: the title of a ready face, the name of an avatar of their own."""
    return FACES[path.stem] if path.parent.resolve() == READY.resolve() else name


def refuse_hiding(name: str, path: Path) -> None:
    """Raises UsageError for a new avatar, to lie at `path`, that would be found in place of a ready face."""
    face = None if path.exists() else ready_face(name)
    if face is not None:
        title = FACES[face.stem]
        raise UsageError(
            f"{title} comes with visavis, and an avatar of that name would hide it. Choose another, as 'My {title}'."
        )


def _key(name: str) -> str:
    return file_stem(name).casefold().replace("_", "-")


def refuse_ready_face(path: Path) -> None:
    """Raises UsageError for the bundle of one: it stays as it is."""
    if path.parent.resolve() == READY.resolve():
        raise UsageError(
            f"{FACES[path.stem]} comes with visavis: it can be neither renamed nor deleted nor changed.",
            "Enrol an avatar of your own: `visavis enroll PHOTO… --name NAME`.",
            "Make an avatar of your own.",
        )

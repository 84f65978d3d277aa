"""What enrolment from photos and from a clip have in common: what may be asked of it, and its last steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.core.avatar_name import avatar_name, file_stem
from avatar.core.errors import InputError
from avatar.core.model_files import MODEL_ID
from avatar.identity.consent import Statement
from avatar.identity.descriptors import with_descriptors
from avatar.identity.mattes import with_mattes
from avatar.identity.photo_check import PhotoCheck
from avatar.identity.same_person import match_light
from avatar.render.embedding import embed
from engines import Engine, Say, on_stderr


@dataclass(frozen=True, slots=True)
class EnrolmentOptions:
    """consent: what is said of the person shown; without it the bundle records that nothing was. same_person: the faces
    are not compared. say: is told where another engine than usual embeds.
    """

    consent: Statement | None = None
    same_person: bool = False
    say: Say = on_stderr


class Shown(Protocol):
    """One picture of the person, as it was chosen."""

    @property
    def portrait(self) -> Picture: ...

    @property
    def landmarks(self) -> Array: ...

    @property
    def blendshapes(self) -> Array: ...


@dataclass(frozen=True, slots=True)
class Portraits:
    """What the networks see of a person, the reference first."""

    pictures: Picture  # (K, 512, 512, 3)
    landmarks: Array  # (K, 478, 3) in [0, 1] of the picture
    blendshapes: Array  # (K, 52)

    @classmethod
    def of(cls, shown: Sequence[Shown]) -> Portraits:
        return cls(
            np.stack([one.portrait for one in shown]),
            np.stack([one.landmarks for one in shown]),
            np.stack([one.blendshapes for one in shown]),
        )


def make_avatar(
    name: str, portraits: Portraits, embedder: Engine, provenance: dict[str, Any], consent: dict[str, Any]
) -> Avatar:
    """The first portrait is the reference, also for the light, once the embedder has seen all as they are."""
    avatar = Avatar(
        name=avatar_name(name),
        model_id=MODEL_ID,
        portraits=match_light(portraits.pictures, portraits.landmarks),
        landmarks=portraits.landmarks,
        blendshapes=portraits.blendshapes,
        embedding=embed(embedder, portraits.pictures, portraits.landmarks),
        provenance=provenance,
        consent=consent,
    )
    return with_descriptors(with_mattes(avatar))


def refuse_covered(checks: Sequence[PhotoCheck], which: str, name: str) -> None:
    """Raises InputError where no picture shows the eyes, or none the mouth: all of them would have to be made up."""
    for part, by, hidden in (
        ("eyes", "dark glasses or a deep shadow", [check.eyes_hidden for check in checks]),
        ("mouth", "a mask or a hand", [check.mouth_hidden for check in checks]),
    ):
        if all(hidden):
            raise InputError(
                f"{which}: {by} seems to hide the {part}, and an avatar needs to know them.",
                f"Take another that shows the {part}, and try again: "
                f"`visavis enroll PHOTO.jpg --name {file_stem(name)}`.",
                f"Take another that shows the {part}, and try again.",
            )


def made() -> dict[str, Any]:
    """With which version, and when."""
    try:
        made_by = f"visavis {version('visavis')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        made_by = "visavis (not installed)"
    return {"made_by": made_by, "at": datetime.now(UTC).isoformat(timespec="seconds")}

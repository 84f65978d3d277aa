"""What is found in pictures that somebody asks about: our mark, whose avatar it names, signed metadata beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar.core.errors import InputError
from avatar.identity.bundle import avatar_names, avatar_path, load_avatar
from avatar.live.signing import can_sign
from avatar.sources.camera import Camera
from avatar.trust.mark_message import bundle_id
from avatar.trust.verification import NOT_A_PROOF, Verdict, verify_camera, verify_file

if TYPE_CHECKING:
    from avatar.trust.provenance import Provenance


@dataclass(frozen=True, slots=True)
class MarkReport:
    """own_avatar: the name of the avatar of this computer that the mark names. notes: what was not whole."""

    verdict: Verdict
    own_avatar: str | None = None
    c2pa: Provenance | None = None
    notes: tuple[str, ...] = ()

    @property
    def marked(self) -> bool:
        return self.verdict.mark is not None

    def as_json(self) -> dict[str, Any]:
        told, mark = asdict(self.verdict), self.verdict.mark
        told["mark"] = None if mark is None else told["mark"] | {"day": mark.day.isoformat(), "avatar": self.own_avatar}
        return {"marked": self.marked, **told, "c2pa": self.c2pa and self.c2pa.as_json()}

    def in_words(self) -> list[str]:
        """Sentences, the answer first."""
        mark, looked_at = self.verdict.mark, _looked_at(self.verdict)
        if mark is None:
            said = [NOT_A_PROOF, f"Looked at: {looked_at}."]
        else:
            not_ours = f"the avatar {mark.bundle}, which is not among those of this computer"
            whose = f"your avatar {self.own_avatar}" if self.own_avatar else not_ours
            mirrored = ", mirrored" if mark.mirrored else ""
            chance = "That an unmarked picture gives this by chance: below 1 in a million."
            how = f"Read with a strength of {mark.strength} in {looked_at}, {mark.shown_px} px across{mirrored}."
            said = [f"Marked by visavis: it shows {whose}, made on {mark.day.isoformat()}.", f"{how} {chance}"]
        return said if self.c2pa is None else [*said, self.c2pa.in_words()]


def report_on_file(path: Path, progress: Callable[[float], None] = lambda share: None) -> MarkReport:
    """Of a photo or video. `progress` gets the share that is done. Raises InputError, naming the file."""
    verdict = verify_file(path, progress)
    notes = [] if verdict.damage is None else [verdict.damage]
    c2pa = None
    if can_sign():
        from avatar.trust.provenance import read_provenance

        try:
            c2pa = read_provenance(path)
        except InputError as error:
            notes.append(str(error))
    return MarkReport(verdict, _own_avatar(verdict), c2pa, tuple(notes))


def report_on_camera(camera: Camera) -> MarkReport:
    """Of what it shows now. Raises InputError where it shows nothing."""
    verdict = verify_camera(camera)
    return MarkReport(verdict, _own_avatar(verdict))


def _looked_at(verdict: Verdict) -> str:
    if verdict.pictures == 1:
        return "1 picture"
    return f"{verdict.pictures} pictures of {verdict.seconds:.1f} seconds"


def _own_avatar(verdict: Verdict) -> str | None:
    if verdict.mark is None:
        return None
    for name in avatar_names():
        try:
            if bundle_id(load_avatar(avatar_path(name), model_id=None)) == verdict.mark.bundle:
                return name
        except InputError:  # damaged, or of another visavis
            continue
    return None

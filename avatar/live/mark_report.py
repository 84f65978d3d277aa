"""What is found in pictures that somebody asks about: our mark, whose avatar it names, signed metadata beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar.core.errors import InputError
from avatar.identity.bundle import all_names, find_avatar, load_avatar
from avatar.identity.ready_faces import shown_title
from avatar.live.bundle_report import SUFFIX, BundleReport, report_on_bundle
from avatar.live.signing import can_sign, unread_words
from avatar.sources.camera import Camera
from avatar.trust.c2pa_files import may_carry
from avatar.trust.mark_message import bundle_id
from avatar.trust.verification import NOT_A_PROOF, Verdict, verify_camera, verify_file

if TYPE_CHECKING:
    from avatar.trust.provenance import Provenance


@dataclass(frozen=True, slots=True)
class MarkReport:
    """own_avatar: the name of the avatar of this computer that the mark names. c2pa_problem: why signed metadata, if
    there are any, were not read.
    """

    verdict: Verdict
    own_avatar: str | None = None
    c2pa: Provenance | None = None
    c2pa_problem: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not whole, or not looked at."""
        return tuple(note for note in (self.verdict.damage, self.c2pa_problem) if note is not None)

    @property
    def confirmed(self) -> bool:
        return self.verdict.mark is not None

    def as_json(self) -> dict[str, Any]:
        told, mark = asdict(self.verdict), self.verdict.mark
        told["mark"] = None if mark is None else told["mark"] | {"day": mark.day.isoformat(), "avatar": self.own_avatar}
        c2pa = {"c2pa": self.c2pa and self.c2pa.as_json(), "c2pa_problem": self.c2pa_problem}
        return {"marked": self.confirmed, **told, **c2pa}

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


def report_on_file(path: Path, progress: Callable[[float], None] = lambda share: None) -> MarkReport | BundleReport:
    """Of a photo, a video or an avatar. `progress` gets the share that is done. Raises InputError, naming the file."""
    if path.suffix.lower() == SUFFIX:
        return report_on_bundle(path)
    verdict = verify_file(path, progress)
    c2pa, problem = None, None
    if not can_sign():
        problem = unread_words(path) if may_carry(path) else None
    else:
        from avatar.trust.provenance import read_provenance

        try:
            c2pa = read_provenance(path)
        except InputError as error:
            problem = str(error)
    return MarkReport(verdict, _own_avatar(verdict), c2pa, problem)


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
    for name in all_names():
        try:
            path = find_avatar(name)
            if bundle_id(load_avatar(path, model_id=None)) == verdict.mark.bundle:
                return shown_title(name, path)
        except InputError:  # damaged, or of another visavis
            continue
    return None

"""What is found in an avatar's file that somebody asks about: whom it shows, and whether it is as it was signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar.core.errors import InputError
from avatar.identity.bundle import load_avatar, read_signature
from avatar.identity.consent import consent_words
from avatar.identity.ready_faces import shown_title
from avatar.live.signing import can_sign, unread_words
from avatar.trust.mark_message import bundle_id

if TYPE_CHECKING:
    from avatar.trust.provenance import Provenance

SUFFIX = ".avatar"
UNSIGNED = "It is not signed: nobody can tell who made it, nor whether it was changed."
UNPROVEN = "Whoever made it says whom it shows, and who agreed: neither is proven."


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSignature:
    """c2pa_problem: why what is signed was not read."""

    signed: bool
    c2pa: Provenance | None
    c2pa_problem: str | None

    @property
    def confirmed(self) -> bool:
        """Whether it is as it was signed."""
        return self.c2pa is not None and self.c2pa.state == "whole"

    @property
    def changed(self) -> bool:
        return self.c2pa is not None and self.c2pa.state == "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReport(BundleSignature):
    """mark: the bundle of which its pictures' invisible mark speaks."""

    name: str
    shows: str
    statement: str
    mark: str

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.c2pa_problem is None else (self.c2pa_problem,)

    def as_json(self) -> dict[str, Any]:
        about = {"avatar": self.name, "shows": self.shows, "statement": self.statement, "bundle": self.mark}
        c2pa = {"signed": self.signed, "c2pa": self.c2pa and self.c2pa.as_json(), "c2pa_problem": self.c2pa_problem}
        return {"confirmed": self.confirmed, **about, **c2pa}

    def in_words(self) -> list[str]:
        """Sentences, the answer first."""
        if self.c2pa is not None:
            signed = self.c2pa.signed_in_words()
        else:
            signed = "It is signed, but by whom could not be read." if self.signed else UNSIGNED
        return [signed, f"It shows {self.name}: {self.shows}. Its pictures carry the mark {self.mark}.", UNPROVEN]


def report_on_bundle(path: Path) -> BundleReport:
    """Raises InputError for what is no whole bundle: its hashes are looked at, whether it is signed or not."""
    avatar, signature = load_avatar(path, model_id=None), signature_of(path)
    return BundleReport(
        signed=signature.signed,
        c2pa=signature.c2pa,
        c2pa_problem=signature.c2pa_problem,
        name=shown_title(avatar.name, path),
        shows=consent_words(avatar.consent),
        statement=str(avatar.consent.get("statement", "")),
        mark=bundle_id(avatar),
    )


def signature_of(path: Path) -> BundleSignature:
    """What signs the manifest, which holds the hashes of all else: these are not looked at. Raises InputError."""
    manifest, signature = read_signature(path)
    c2pa, problem = None, None
    if signature and not can_sign():
        problem = unread_words(path)
    elif signature:
        from avatar.trust.provenance import read_apart

        try:
            c2pa = read_apart(path, manifest, signature)
        except InputError as error:
            problem = str(error)
    return BundleSignature(signed=bool(signature), c2pa=c2pa, c2pa_problem=problem)

"""Signed metadata (C2PA 2) in videos: that AI made them, of whose consent, and which mark is in their pictures.

Of avatars too, whose files have no place for them: there they are a member of the file, bound to the others' hashes.

c2pa-python reads and writes it, and is kept from the network: no remote manifest, trust list, time stamp or revocation
list is fetched. So nobody else vouches for the signer: what is known is that nothing was changed since the signing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from c2pa import Builder, C2paError, C2paSigningAlg, Context, Reader, Settings, Signer

from avatar.core.avatar import Avatar
from avatar.core.errors import InputError
from avatar.core.plain_text import plain_text
from avatar.trust.c2pa_files import FORMATS, READ
from avatar.trust.mark_message import MarkMessage
from avatar.trust.signing_key import SigningKey, own_root

# of IPTC and of C2PA, 2.2, 18.15.2: of media, and of what is none
MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
DATA_MADE_BY_AI = "http://c2pa.org/digitalsourcetype/trainedAlgorithmicData"
MARK, CONSENT = "org.visavis.mark.1", "org.visavis.consent"
LONGEST = 80  # of a stranger's name
_DETACHED = "application/octet-stream"
_OFFLINE: dict[str, dict[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
    "core": {"allowed_network_hosts": []},  # beside the other two: whatever else would ask
}
State = Literal["whole", "changed"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a file's signed metadata say. changed: the file is not what was signed, and nothing of it holds.

    signer: as the certificate names itself, which nobody else has checked. signed_here: by the key of this computer,
    as its certificate proves, not its words. mark: as in the pictures.
    consent_sha256: of the avatar's consent record.
    """

    state: State
    signer: str
    signed_here: bool
    made_by_ai: bool
    mark: MarkMessage | None
    consent_sha256: str

    def as_json(self) -> dict[str, Any]:
        mark = self.mark and {"bundle": self.mark.bundle, "day": self.mark.day.isoformat()}
        return asdict(self) | {"mark": mark}

    def in_words(self) -> str:
        if self.state == "changed":
            return self.signed_in_words()
        by = "made by AI" if self.made_by_ai else "not said to be made by AI"
        whose = f", as the avatar {self.mark.bundle} on {self.mark.day.isoformat()}" if self.mark else ""
        return f"{self.signed_in_words()[:-1]}; {by}{whose}."

    def signed_in_words(self) -> str:
        """Whether it is as it was signed, and by whom."""
        stranger = f"a key that this computer does not know (it calls itself “{self.signer}”, which nobody has checked)"
        if self.state == "changed":
            return f"C2PA: the file is not as it was signed by {stranger}: nothing of what its data say holds."
        if self.signed_here:
            return "C2PA: unchanged since it was signed by visavis on this computer."
        return f"C2PA: unchanged since it was signed by {stranger}."


def consent_digest(avatar: Avatar) -> str:
    """SHA-256 of the consent record, in hexadecimal digits: who has the avatar can show that it is this one."""
    return hashlib.sha256(json.dumps(avatar.consent, sort_keys=True).encode()).hexdigest()


def sign_video(path: Path, avatar: Avatar, mark: MarkMessage, key: SigningKey) -> None:
    """Put it into a video of FORMATS that shows `avatar`, which stays as it was where that fails.

    mark: what the pictures carry, which may have begun on another day. Raises InputError.
    """
    binding = {"alg": MARK, "blocks": [{"scope": {}, "value": f"{mark.number():016x}"}]}
    manifest = _manifest(MADE_BY_AI, avatar, {"label": "c2pa.soft-binding", "data": binding})
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with (
            Context(Settings.from_dict(_OFFLINE)) as offline,
            Builder(manifest, offline) as builder,
            Signer.from_callback(key.sign, C2paSigningAlg.ES256, key.chain) as signer,
            path.open("rb") as plain,
            os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as signed,
        ):
            builder.sign(signer, FORMATS[path.suffix.lower()], plain, signed)
        beside.chmod(path.stat().st_mode & 0o777)
        beside.replace(path)
    except (C2paError, OSError) as error:
        raise InputError(
            f"{path} could not be signed ({plain_text(error)}); it is whole, without C2PA data."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def sign_apart(data: bytes, avatar: Avatar, key: SigningKey) -> bytes:
    """The signed metadata of what `avatar`'s file consists of, to be kept beside it. Raises InputError."""
    try:
        with (
            Context(Settings.from_dict(_OFFLINE)) as offline,
            Builder(_manifest(DATA_MADE_BY_AI, avatar), offline) as builder,
            Signer.from_callback(key.sign, C2paSigningAlg.ES256, key.chain) as signer,
        ):
            builder.set_no_embed()
            return bytes(builder.sign(signer, _DETACHED, io.BytesIO(data), io.BytesIO()))
    except C2paError as error:
        raise InputError(f"{avatar.name} could not be signed ({plain_text(error)}).") from error


def _manifest(made_by: str, avatar: Avatar, *assertions: dict[str, Any]) -> dict[str, Any]:
    made_with = {"name": "visavis", "version": version("visavis")}
    created = {"action": "c2pa.created", "digitalSourceType": made_by, "softwareAgent": made_with}
    return {
        "claim_generator_info": [made_with],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            *assertions,
            {"label": CONSENT, "data": {"alg": "sha256", "hash": consent_digest(avatar)}},
        ],
    }


def _knowing_own_key() -> dict[str, dict[str, Any]]:
    """Settings by which what this computer's key has signed, and nothing else, is "Trusted"."""
    own = own_root()
    if not own:
        return _OFFLINE
    return _OFFLINE | {"verify": _OFFLINE["verify"] | {"verify_trust": True}, "trust": {"trust_anchors": own}}


def read_provenance(path: Path) -> Provenance | None:
    """None where a file has no such data. Raises InputError, in one line, where they are damaged or hostile."""
    kind = READ.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        with Context(Settings.from_dict(_knowing_own_key())) as offline, path.open("rb") as file:
            reader = Reader.try_create(kind, file, context=offline)
            if reader is None:
                return None
            with reader:
                return _provenance(json.loads(reader.json()))
    except UNREADABLE as error:
        raise _unread(path, error) from error


def read_apart(path: Path, data: bytes, signed: bytes) -> Provenance:
    """Of what `sign_apart` has made of the data, out of the file `path`. Raises InputError, as above."""
    try:
        with (
            Context(Settings.from_dict(_knowing_own_key())) as offline,
            Reader(_DETACHED, io.BytesIO(data), signed, context=offline) as reader,
        ):
            return _provenance(json.loads(reader.json()))
    except UNREADABLE as error:
        raise _unread(path, error) from error


UNREADABLE = (C2paError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


def _unread(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: its C2PA data cannot be read ({plain_text(error, LONGEST)}).")


def _provenance(store: dict[str, Any]) -> Provenance:
    manifest = store["manifests"][store["active_manifest"]]
    signature = manifest.get("signature_info") or {}
    mark, consent, by_ai = None, "", False
    for assertion in manifest.get("assertions") or []:
        label, data = str(assertion.get("label")), assertion.get("data") or {}
        if label.startswith("c2pa.actions"):
            by_ai |= any(action.get("digitalSourceType") in (MADE_BY_AI, DATA_MADE_BY_AI) for action in data["actions"])
        elif label == "c2pa.soft-binding" and data.get("alg") == MARK:
            mark = MarkMessage.from_number(int(data["blocks"][0]["value"], 16))
        elif label == CONSENT:
            consent = plain_text(data["hash"], 64)
    return Provenance(
        state="whole" if store.get("validation_state") in ("Valid", "Trusted") else "changed",
        signer=plain_text(f"{signature.get('common_name') or ''} ({signature.get('issuer') or ''})", 2 * LONGEST),
        signed_here=store.get("validation_state") == "Trusted",
        made_by_ai=by_ai,
        mark=mark,
        consent_sha256=consent,
    )

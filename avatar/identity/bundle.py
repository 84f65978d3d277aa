"""The file NAME.avatar: one zip, in which nothing is ever executed or unpickled. Its members: `bundle_members`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar, no_descriptors, no_mattes
from avatar.core.avatar_name import avatar_name, file_stem
from avatar.core.errors import InputError, UsageError, VisavisError
from avatar.core.file_name import Expected
from avatar.core.model_files import ALIKE, MODEL_ID, model_file
from avatar.core.paths import home
from avatar.core.private_file import UnfitError, write_private
from avatar.core.strict_json import parse_json
from avatar.face.crop import CROP_SIZE_PX
from avatar.face.face_fit import fit_faces
from avatar.face.state import BLENDSHAPE_NAMES, DESCRIPTOR_SIZE, LANDMARK_COUNT
from avatar.identity.bundle_members import MANIFEST, PARAMETERS, SIGNATURE, pack, read_members, unpack
from avatar.identity.ready_faces import FACES, ready_face, ready_names, shown_title
from avatar.identity.thumbnail import THUMBNAIL, check_thumbnail, thumbnail
from avatar.render.layered_network import NETWORK, network_name
from avatar.render.own_weights import weight_count
from engines.installing import pip

FORMAT = "visavis-avatar"
FORMAT_VERSION = 5
OLDEST_VERSION = 2  # without mattes; up to 3, with AdaIN parameters of an older network; up to 4, without descriptors
MAX_PORTRAITS = 32
MAX_WEIGHTS = 6_000_000

AGAIN_ON_PAGE = "Enrol the photos again"
AGAIN = f"{AGAIN_ON_PAGE}: `visavis enroll PHOTO… --name NAME --force`"

# at least ten times what networks and people have: a value beyond draws noise, or overflows
_MOST: dict[str, float] = {"landmarks": 10, "blendshapes": 1, "embedding": 10, "weights": 7, "descriptors": 1}
_LEAST_SCALE, _MOST_SCALE = 0.1, 1.0  # of a face in its crop, by the outer eye corners: enrolment makes it 0.24 to 0.3
_TEXTS, _OBJECTS = ("name", "model_id", "network"), ("members", "arrays", "consent", "provenance")  # of the manifest

# name -> dtype and shape; "T" is the number of portraits, "T or 0" that or none, "n" stands for any length
_ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "portraits": ("uint8", ("T", CROP_SIZE_PX, CROP_SIZE_PX, 3)),
    "landmarks": ("float32", ("T", LANDMARK_COUNT, 3)),
    "blendshapes": ("float32", ("T", len(BLENDSHAPE_NAMES))),
    "embedding": ("float32", (512,)),
    "weights": ("float32", ("n",)),  # of a fine-tuned generator, else none
    "mattes": ("uint8", ("T or 0", CROP_SIZE_PX, CROP_SIZE_PX)),
    "descriptors": ("float32", ("T or 0", DESCRIPTOR_SIZE)),
}


def avatar_path(name: str) -> Path:
    """Where the avatar `name` lies or will lie. Raises UsageError for what cannot be a name: see `avatar_name`."""
    return home() / "avatars" / f"{file_stem(name)}.avatar"


def avatar_names() -> list[str]:
    """The names of all enrolled avatars, as they were given. Of a file that says none, or another's, its own."""
    bundles = (home() / "avatars").glob("*.avatar")
    return sorted(shown_name(path) for path in bundles if not path.name.startswith("."))


def all_names() -> list[str]:
    """The names of all avatars that there are: the enrolled ones, then the ready faces."""
    own = avatar_names()
    stems = {file_stem(name) for name in own}
    return [*own, *(name for name in ready_names() if name not in stems)]


def shown_names() -> list[str]:
    """As `all_names`, the ready faces by their titles."""
    return [shown_title(name, path) for name in all_names() if (path := named_avatar(name)) is not None]


def named_avatar(name: str) -> Path | None:
    """The bundle of the enrolled avatar of that name, else of the ready face. Raises UsageError for what is no name."""
    own = avatar_path(name)
    return own if own.is_file() else ready_face(name)


def find_avatar(name_or_path: str) -> Path:
    """The bundle for a name given to `enroll`, a ready face's name, or a path.

    Raises InputError listing the avatars that there are.
    """
    try:
        named: Path | None = named_avatar(name_or_path) or avatar_path(name_or_path)
    except UsageError:
        named = None
    try:
        for path in (named, Path(name_or_path)):
            if path is not None and path.is_file():
                return path
    except (OSError, ValueError):  # too long for this file system, or with a zero byte
        pass
    known = avatar_names()
    have = f"There are: {', '.join(known)}." if known else "None is enrolled yet."
    have = f"{have} Ready faces: {', '.join(FACES.values())}."
    example = named.stem if named else "NAME"
    raise InputError(
        f"There is no avatar {name_or_path!r}. {have} To make one: `visavis enroll PHOTO.jpg --name {example}`."
    )


def _unsigned(manifest: bytes) -> bytes:
    return b""


def save_avatar(
    avatar: Avatar, path: Path, expected: Expected = "any", sign: Callable[[bytes], bytes] = _unsigned
) -> None:
    """Write the bundle, readable by its owner alone; an older file stays whole until the new one is complete.

    expected: what may be there by then, as of `write_private`; None: nothing. sign: makes the signature of the
    manifest, which holds the hashes of all else; b"" where there is none.
    Raises InputError if `avatar` would not load again, UsageError for a name that is taken, VisavisError if the file
    cannot be written, or is no longer the `expected` one.
    """
    arrays = {name: np.ascontiguousarray(getattr(avatar, name)) for name in _ARRAYS}
    try:
        _check_arrays(arrays, avatar.network)
    except UnfitError as error:
        raise InputError(f"The avatar {avatar.name!r} cannot be saved: {error}. Enrol other photos.") from None
    members = {PARAMETERS: save(arrays), THUMBNAIL: thumbnail(avatar.portraits[0])}
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": avatar.name,
        "model_id": avatar.model_id,
        "network": avatar.network,
        "arrays": _described(arrays),
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()
        },
        "consent": avatar.consent,
        "provenance": avatar.provenance,
    }
    manifest_bytes = json.dumps(manifest, indent=1, allow_nan=False).encode()
    if signature := sign(manifest_bytes):
        members[SIGNATURE] = signature
    try:
        packed = pack({MANIFEST: manifest_bytes, **members})
    except UnfitError as error:
        raise InputError(f"The avatar {avatar.name!r} cannot be saved: {error}.") from None
    _write(packed, path, expected)


def load_avatar(path: Path, model_id: str | None = MODEL_ID) -> Avatar:
    """Read a bundle after checking all of it: structure, sizes before unpacking, hashes, shapes, types, finite values.

    `model_id`: the generator that it must belong to; None accepts any. What was fine-tuned for another network than the
    installed one is left out.
    Raises InputError, naming the file, for anything other than a whole bundle of this format.
    """
    try:
        members = read_members(path)
        manifest = _manifest(members[MANIFEST])
        _check_hashes(manifest, members)
        stored = _arrays(members[PARAMETERS])
        arrays = {**stored}
        if manifest["format_version"] < FORMAT_VERSION:
            later: dict[str, NDArray[Any]] = {"mattes": no_mattes(), "descriptors": no_descriptors()}
            arrays = later | {name: array for name, array in stored.items() if name != "psi"}
        _check_arrays(arrays, manifest["network"])
        if manifest["arrays"] != _described(stored):
            raise UnfitError("its arrays are not those that the manifest lists")
        if manifest["network"] != network_name():
            arrays["weights"], manifest["network"] = np.zeros(0, np.float32), ""
        if manifest["model_id"] in ALIKE:
            manifest["model_id"] = MODEL_ID
        check_thumbnail(members[THUMBNAIL])
    except UnfitError as error:
        raise InputError(
            f"{path} cannot be used as an avatar: {error}.",
            f"{error.mend or AGAIN}.",
            f"{error.mend or AGAIN_ON_PAGE}.",
        ) from None
    if model_id is not None and manifest["model_id"] != model_id:
        raise InputError(
            f"{path} was made for the network {manifest['model_id']!r}, this visavis has {model_id!r}.",
            f"{AGAIN}.",
            f"{AGAIN_ON_PAGE}.",
        )
    return Avatar(
        name=manifest["name"],
        model_id=manifest["model_id"],
        network=manifest["network"],
        provenance=manifest["provenance"],
        consent=manifest["consent"],
        **arrays,
    )


def read_signature(path: Path) -> tuple[bytes, bytes]:
    """The manifest, and what signs it: b"" where nothing does. Raises InputError for what is no bundle."""
    try:
        members = read_members(path)
    except UnfitError as error:
        raise InputError(f"{path} cannot be used as an avatar: {error}.") from None
    return members[MANIFEST], members.get(SIGNATURE, b"")


def shown_name(path: Path) -> str:
    """What the manifest says, where that belongs to the file's name."""
    try:
        with path.open("rb") as file:
            name = str(_manifest(unpack(file, (MANIFEST,))[MANIFEST])["name"])
        return name if file_stem(name) == path.stem else path.stem
    except (OSError, UnfitError):
        return path.stem


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = parse_json(data)
    except ValueError as error:
        raise UnfitError(f"its manifest is not valid JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UnfitError("its manifest does not say that it is an avatar")
    version = manifest.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UnfitError("its manifest has no format version")
    if version < OLDEST_VERSION:
        raise UnfitError(f"it was made by an older visavis (format {version}, this one reads from {OLDEST_VERSION} on)")
    if version > FORMAT_VERSION:
        raise UnfitError(
            f"it was made by a newer visavis (format {version}, this one reads up to {FORMAT_VERSION})",
            f"Upgrade: `{pip('install --upgrade visavis')}`",
        )
    manifest.setdefault("network", "")  # an older visavis, whose networks were others, did not name them
    for key in (*_TEXTS, *_OBJECTS):
        if not isinstance(manifest.get(key), str if key in _TEXTS else dict):
            raise UnfitError(f"its manifest lacks {key!r}")
    if not _is_name(manifest["name"]):
        raise UnfitError("its manifest holds a name that no avatar can have")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", manifest["model_id"]):
        raise UnfitError("its manifest holds a model id that no model can have")
    return manifest


def _is_name(text: str) -> bool:
    try:
        return avatar_name(text) == text
    except UsageError:
        return False


def _check_hashes(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    if set(manifest["members"]) != {PARAMETERS, THUMBNAIL}:
        raise UnfitError("its manifest does not list its members")
    for name, stated in manifest["members"].items():
        actual = {"bytes": len(members[name]), "sha256": hashlib.sha256(members[name]).hexdigest()}
        if stated != actual:
            raise UnfitError(f"{name} is not what the manifest says (size or sha256 differ): damaged or tampered with")


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise UnfitError(f"{PARAMETERS} is not valid ({error})") from None


def _check_arrays(arrays: dict[str, NDArray[Any]], network: str) -> None:
    if set(arrays) != set(_ARRAYS):
        raise UnfitError(f"its arrays are not {', '.join(_ARRAYS)}")
    portraits = arrays["portraits"].shape[0] if arrays["portraits"].ndim else 0
    for name, (dtype, shape) in _ARRAYS.items():
        array = arrays[name]
        sizes = {"T": portraits, "T or 0": portraits if array.size else 0, "n": array.size}
        if str(array.dtype) != dtype or array.shape != tuple(sizes[n] if isinstance(n, str) else n for n in shape):
            raise UnfitError(f"{name} is {array.dtype} {list(array.shape)} instead of {dtype} {list(shape)}")
        if dtype == "float32" and not bool(np.all(np.abs(array) <= _MOST[name])):  # false for NaN too
            raise UnfitError(f"its {name} holds what is no number from {-_MOST[name]:g} to {_MOST[name]:g}")
    if not 1 <= portraits <= MAX_PORTRAITS:
        raise UnfitError(f"it holds {portraits} portraits instead of 1 to {MAX_PORTRAITS}")
    weights = arrays["weights"].size
    if weights > MAX_WEIGHTS or (network == network_name() and weights != weight_count(model_file(NETWORK))):
        raise UnfitError(f"it holds {weights} weights of a fine-tuned network, more or less than the network has")
    if float(arrays["blendshapes"].min()) < 0:
        raise UnfitError("its blendshapes are not between 0 and 1")
    _check_faces(arrays["landmarks"])


def _check_faces(landmarks: Array) -> None:
    fit = fit_faces(landmarks)
    inside = np.all((fit.centre[:, :2] >= 0) & (fit.centre[:, :2] <= 1), axis=1)
    for number in range(len(landmarks)):
        if not fit.human[number]:
            raise UnfitError(f"the landmarks of portrait {number + 1} form no face")
        if not (inside[number] and _LEAST_SCALE <= fit.scale[number] <= _MOST_SCALE):
            raise UnfitError(f"the face of portrait {number + 1} does not fill its picture as a portrait's does")


def _described(arrays: dict[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in arrays.items()}


def _write(data: bytes, path: Path, expected: Expected) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(data, path, expected)
    except FileExistsError:
        if expected is None:
            raise UsageError(
                f"There is already an avatar {path.stem!r} ({path}), made meanwhile.",
                "Choose another name, or replace it: `visavis enroll PHOTO… --name NAME --force`.",
                "Choose another name, or replace it.",
            ) from None
        raise VisavisError(
            f"{path} was replaced or deleted meanwhile, so what was made of the one before was not kept. Start again."
        ) from None
    except OSError as error:
        raise VisavisError(
            f"{path} cannot be written: {error.strerror}. Free some space or set VISAVIS_HOME to a folder that you own."
        ) from error

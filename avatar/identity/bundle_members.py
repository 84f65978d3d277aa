"""The members of the zip that a bundle is, each with how large it may be."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from avatar.core.private_file import UnfitError, read_bounded
from avatar.identity.thumbnail import THUMBNAIL

MANIFEST, PARAMETERS = "manifest.json", "parameters.safetensors"
SIGNATURE = "signature.c2pa"  # of the manifest, and so of all that it lists; not in every bundle
MAX_BYTES = {MANIFEST: 256 << 10, PARAMETERS: 64 << 20, THUMBNAIL: 256 << 10, SIGNATURE: 256 << 10}  # unpacked
_ALWAYS = {MANIFEST, PARAMETERS, THUMBNAIL}
_MAX_DIRECTORY_BYTES = 1024


def pack(members: dict[str, bytes]) -> bytes:
    """Raises UnfitError for one that is too large."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            if len(data) > MAX_BYTES[name]:
                raise UnfitError(f"{name} has {len(data)} bytes, too many")
            # with zip's first date instead of now: what a clock in 1970 says cannot be written
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=1)
    return packed.getvalue()


def read_members(path: Path) -> dict[str, bytes]:
    """All that the file has. Raises UnfitError."""
    data = read_bounded(path, sum(MAX_BYTES.values()), "avatar", "visavis enroll PHOTO.jpg --name NAME")
    return unpack(io.BytesIO(data), MAX_BYTES)


def unpack(file: BinaryIO, wanted: Collection[str]) -> dict[str, bytes]:
    """Of a seekable file, what of `wanted` is there. Raises UnfitError where it has other members than a bundle."""
    foreign = UnfitError("it is no .avatar file", "`visavis enroll PHOTO.jpg --name NAME` makes one")
    damaged = UnfitError("it is damaged or cut off", "Copy it again, or enrol the photos again")
    # the end record is read here first: zipfile would build one object per entry, however many a hostile file has
    begin = file.read(2)
    file.seek(max(file.seek(0, os.SEEK_END) - 42, 0))
    tail = file.read()
    end = tail[-22:]
    if len(end) < 22 or end[:4] != b"PK\5\6" or tail[-42:-38] == b"PK\6\7":
        raise damaged if begin == b"PK" else foreign
    entries, directory_bytes = struct.unpack("<HI", end[10:16])
    if not len(_ALWAYS) <= entries <= len(MAX_BYTES) or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise UnfitError(
            f"it has {entries} members instead of {len(_ALWAYS)}: it is no .avatar file, or was tampered with"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            names = sorted(info.filename for info in infos)
            if names not in (sorted(_ALWAYS), sorted(MAX_BYTES)):
                raise UnfitError(f"its members are not {', '.join(MAX_BYTES)}")
            for info in infos:
                if info.file_size > MAX_BYTES[info.filename]:
                    raise UnfitError(f"{info.filename} claims {info.file_size} bytes, too many: it was tampered with")
                if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise UnfitError(f"{info.filename} is packed in a way that avatars never are")
            return {name: archive.read(name) for name in names if name in wanted}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError,
            zlib.error) as error:  # fmt: skip
        raise UnfitError(f"{damaged} ({error})", damaged.mend) from None

"""Which files may carry signed metadata (C2PA), without what reads them."""

from __future__ import annotations

from pathlib import Path

FORMATS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}  # that are signed; mkv has no place
READ = FORMATS | {  # that others sign too
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".gif": "image/gif",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".avi": "video/x-msvideo",
}


def may_carry(path: Path) -> bool:
    return path.suffix.lower() in READ

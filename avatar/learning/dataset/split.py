"""Who is trained on and who is held out: whole people, never single files of one."""

from __future__ import annotations

from collections.abc import Sequence

TRAIN, VAL = "train", "val"


def is_held_out(identity: str, held_out: Sequence[str]) -> bool:
    """Whether one of the names fits, of which one that ends in `*` stands for a prefix."""
    return any(identity.startswith(p[:-1]) if p.endswith("*") else identity == p for p in held_out)

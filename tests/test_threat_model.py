"""docs/THREAT_MODEL.md claims nothing that no file holds up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/THREAT_MODEL.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`((?:avatar|engines|tests|docs)/[^`]+)`", TEXT)))


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    assert (ROOT / file).is_file()
    assert not test or f"def {test}(" in (ROOT / file).read_text("utf-8")


def test_each_attack_says_what_holds_and_what_does_not() -> None:
    attacks = TEXT.split("\n### ")[1:]
    assert len(attacks) == 13
    for attack in attacks:
        assert "- **Holds" in attack and "- **Does not hold.**" in attack, attack.partition("\n")[0]

"""The ready faces: one .avatar in `avatar/ready` for each portrait in `scripts/portraits`.

To be run again whenever a bundle of the newest visavis holds more than those that are there: they are read, never
mended, where visavis is installed.
"""

from __future__ import annotations

from pathlib import Path

from avatar.identity.bundle import save_avatar
from avatar.identity.consent import Statement
from avatar.identity.enrolment import enroll
from avatar.identity.enrolment_steps import EnrolmentOptions
from avatar.identity.ready_faces import READY
from avatar.tracking.model_asset import tracker_model

PORTRAITS = Path(__file__).parent / "portraits"
PAINTINGS = {
    "girl_with_a_pearl_earring": "A painting: Girl with a Pearl Earring, Johannes Vermeer, about 1665. Public domain.",
    "mona_lisa": "A painting: Mona Lisa, Leonardo da Vinci, about 1503-1519. Public domain.",
}
NOBODY = "A person who does not exist (faker-js assets-person-portrait, CC0 1.0)."


def main() -> None:
    READY.mkdir(exist_ok=True)
    for photo in sorted(PORTRAITS.glob("*.jpg")):
        options = EnrolmentOptions(Statement("character", PAINTINGS.get(photo.stem, NOBODY)))
        made = enroll([photo], photo.stem, tracker_model(), options)
        path = READY / f"{photo.stem}.avatar"
        save_avatar(made.avatar, path)
        path.chmod(0o644)  # bundles are made for their owner alone; these are everybody's
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {made.used[0].check}")


if __name__ == "__main__":
    main()

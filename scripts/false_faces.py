"""How many pictures are taken for a human face: set the limits of `avatar/identity/face_search.py` by it.

    python scripts/false_faces.py FOLDER...

Give folders of portraits, of drawings, of animals and things each by itself. Prints the pictures that show a face, and
how many those are by folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from avatar.core.errors import InputError
from avatar.identity.photo_check import NO_FACE, check_photo
from avatar.sources.photo import SUFFIXES, PhotoReader
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    with CagedTracker(tracker_model(), "image", max_faces=4, patient=True) as tracker, PhotoReader() as reader:
        for folder in parser.parse_args().folders:
            pictures = faces = usable = 0
            for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
                try:
                    check = check_photo(reader.load(path), tracker).check
                except InputError as error:
                    print(error)
                    continue
                pictures += 1
                usable += check.refusal is None
                if check.fault != NO_FACE:
                    faces += 1
                    print(path, check.fault or f"usable, score {check.score:.3f}")
            print(f"{folder}: {pictures} pictures, {faces} with a human face, {usable} usable")


if __name__ == "__main__":
    main()

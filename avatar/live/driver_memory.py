"""What was learnt of a driver, kept for the next run where the driver has agreed: numbers, one small file each.

A descriptor tells the drivers of one camera apart. All of it lies in home()/"drivers", readable by its owner alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from avatar.core.arrays import Array
from avatar.core.errors import VisavisError
from avatar.core.paths import home, home_path
from avatar.core.private_file import UnfitError, delete_private, read_bounded, write_private
from avatar.face.face_descriptor import distance
from avatar.face.state import DESCRIPTOR_SIZE, LANDMARK_COUNT
from avatar.retarget.driver_face import DriverFace
from avatar.retarget.likeness import KEPT, OTHER, OWN
from avatar.retarget.retargeter import Retargeter

FOLDER, SUFFIX = "drivers", ".driver"
MOST_DRIVERS = 8  # whoever was not here for longest is forgotten for a ninth
_SHAPES = {"descriptor": (DESCRIPTOR_SIZE,), "shape": (LANDMARK_COUNT, 3), "blinks": (2,), "openings": (2,)}
_MOST = 10.0  # ten times what faces have, in distances of the eyes' outer corners
_MAX_BYTES = 64 << 10


@dataclass
class Driver:
    """One whose face was described."""

    descriptor: Array  # (128,)
    neutral: DriverFace  # whose pose is of no use later: everybody sits down differently


@dataclass
class Remembered(Driver):
    """Of an earlier run."""

    path: Path


Known = TypeVar("Known", bound=Driver)


def remembered_drivers() -> list[Remembered]:
    """All whose files are whole, the latest first."""
    files = sorted(_files(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [driver for path in files if (driver := _read(path)) is not None]


def forget_drivers() -> int:
    """Delete all of it, and say how many they were. Raises VisavisError."""
    files = _files()
    for path in files:
        delete_private(path)
    return len(files)


def keep_driver(descriptor: Array, neutral: DriverFace) -> None:
    """In the place of what was kept of the same person. Raises VisavisError."""
    known = remembered_drivers()
    same = nearest(descriptor, known)
    folder = home() / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{secrets.token_hex(8)}{SUFFIX}" if same is None else same.path
        arrays = {"descriptor": descriptor, "shape": neutral.shape}
        arrays |= {"blinks": neutral.blinks, "openings": neutral.openings}
        write_private(save({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}), path)
        for old in [driver for driver in known if driver is not same][MOST_DRIVERS - 1 :]:
            old.path.unlink(missing_ok=True)
    except OSError as error:
        raise VisavisError(f"Nothing could be kept of you in {folder} ({error.strerror}). Free some space.") from error


def nearest(descriptor: Array, drivers: list[Known]) -> Known | None:
    """The same person among the drivers."""
    alike = [driver for driver in drivers if distance(driver.descriptor, descriptor) <= OWN]
    return min(alike, key=lambda driver: distance(driver.descriptor, descriptor), default=None)


class DriverMemory:
    """Watches one run: who comes back gets what was learnt before. For the next run it keeps what is learnt of the
    first driver, who has agreed; of nobody who sits down later.
    """

    def __init__(self, on: bool = False) -> None:
        self.on = on  # the first driver has agreed
        self._drivers: list[Driver] = []  # of this run, in the order in which they came
        self._kept: list[Remembered] | None = None  # of earlier runs; read once there is somebody to look for
        self._present: Driver | None = None
        self._looks = 0  # at whoever is present, KEPT at most
        self._looked_at: Array | None = None

    def follow(self, retargeter: Retargeter) -> None:
        """After each frame."""
        descriptor, neutral = retargeter.driver, retargeter.neutral
        before = self._looked_at if self._present is None else self._present.descriptor
        if descriptor is None or (before is not None and distance(descriptor, before) > OTHER):
            self._present, self._looks, self._looked_at = None, 0, None
        if descriptor is None:
            return
        if self._looks < KEPT and descriptor is not self._looked_at:
            self._looks, self._looked_at = self._looks + 1, descriptor
            if self._present is None:
                self._recall(retargeter, descriptor)
            else:
                self._present.descriptor = descriptor
        if neutral is None:
            return
        if self._present is None:
            self._present = Driver(descriptor, neutral)
            self._drivers = [*self._drivers, self._present][:MOST_DRIVERS]
        elif distance(descriptor, self._present.descriptor) <= OWN:
            self._present.neutral = neutral

    def _recall(self, retargeter: Retargeter, descriptor: Array) -> None:
        if (driver := nearest(descriptor, self._drivers)) is not None:
            self._present = driver
            retargeter.recall(driver.neutral)
        elif self.on:
            self._kept = remembered_drivers() if self._kept is None else self._kept
            if (kept := nearest(descriptor, self._kept)) is not None:
                retargeter.recall(kept.neutral)

    def agree(self) -> None:
        """Whoever is present now agrees."""
        self.on = True
        if self._present is not None:
            self._drivers = [self._present, *(driver for driver in self._drivers if driver is not self._present)]

    def forget(self) -> None:
        """Switched off: nothing is kept, nor what was kept before. Raises VisavisError."""
        self.on, self._kept = False, None
        forget_drivers()

    def keep(self) -> None:
        """At the end of the run. Raises VisavisError."""
        if self.on and self._drivers:
            keep_driver(self._drivers[0].descriptor, self._drivers[0].neutral)


def _files() -> list[Path]:
    return list((home_path() / FOLDER).glob(f"*{SUFFIX}"))


def _read(path: Path) -> Remembered | None:
    """None for what is damaged or not ours: it is learnt again."""
    try:
        arrays = load(read_bounded(path, _MAX_BYTES, "driver", "visavis live NAME --remember-me"))
    except (UnfitError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if {name: array.shape for name, array in arrays.items()} != _SHAPES:
        return None
    if not all(array.dtype == np.float32 and bool(np.all(np.abs(array) <= _MOST)) for array in arrays.values()):
        return None
    neutral = DriverFace(arrays["shape"], np.zeros(7, np.float32), arrays["blinks"], arrays["openings"])
    return Remembered(arrays["descriptor"], neutral, path)

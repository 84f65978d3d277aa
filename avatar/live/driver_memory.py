"""What was learnt of a driver, kept for the next run where the driver has agreed: numbers, one small file each.

A descriptor tells the drivers of one camera apart. All of it lies in home()/"drivers", readable by its owner alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from avatar.core.arrays import Array
from avatar.core.errors import VisavisError
from avatar.core.paths import home, home_path
from avatar.core.private_file import UnfitError, read_bounded, write_private
from avatar.face.face_descriptor import distance
from avatar.face.state import DESCRIPTOR_SIZE, LANDMARK_COUNT
from avatar.retarget.driver_face import DriverFace
from avatar.retarget.likeness import KEPT, OWN
from avatar.retarget.retargeter import Retargeter

FOLDER, SUFFIX = "drivers", ".driver"
MOST_DRIVERS = 8  # whoever was not here for longest is forgotten for a ninth
_SHAPES = {"descriptor": (DESCRIPTOR_SIZE,), "shape": (LANDMARK_COUNT, 3), "blinks": (2,), "openings": (2,)}
_MOST = 10.0  # ten times what faces have, in distances of the eyes' outer corners
_MAX_BYTES = 64 << 10


@dataclass(frozen=True)
class Remembered:
    """One driver of an earlier run."""

    path: Path
    descriptor: Array  # (128,)
    neutral: DriverFace  # whose pose is of no use: everybody sits down differently


def remembered_drivers() -> list[Remembered]:
    """All whose files are whole, the latest first."""
    files = sorted(_files(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [driver for path in files if (driver := _read(path)) is not None]


def forget_drivers() -> int:
    """Delete all of it, and say how many they were. Raises VisavisError."""
    files = _files()
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise VisavisError(f"{path} cannot be deleted ({error.strerror}). Delete it yourself.") from error
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


def nearest(descriptor: Array, drivers: list[Remembered]) -> Remembered | None:
    """The same person among the drivers."""
    alike = [driver for driver in drivers if distance(driver.descriptor, descriptor) <= OWN]
    return min(alike, key=lambda driver: distance(driver.descriptor, descriptor), default=None)


class DriverMemory:
    """Watches one run: gives a driver who is known what was learnt before, and keeps what is learnt of the first one,
    who has agreed; of nobody who sits down later.
    """

    def __init__(self, on: bool = False) -> None:
        self.on = on  # the driver has agreed
        self._known: list[Remembered] | None = None  # read once there is somebody to look for
        self._looks = 0  # at the present driver, KEPT at most
        self._looked_at: Array | None = None
        self._recalled = False
        self._whose: Array | None = None  # descriptor of the first driver
        self._learnt: DriverFace | None = None  # of the same

    def follow(self, retargeter: Retargeter) -> None:
        """After each frame."""
        descriptor, neutral = retargeter.driver, retargeter.neutral
        if not self.on:
            return
        if descriptor is None:
            self._looks, self._looked_at, self._recalled = 0, None, False
            return
        if self._looks < KEPT and descriptor is not self._looked_at:
            self._looks, self._looked_at = self._looks + 1, descriptor
            self._recall(retargeter, descriptor)
            if self._whose is None or distance(descriptor, self._whose) <= OWN:
                self._whose = descriptor
        if self._whose is not None and distance(descriptor, self._whose) <= OWN:
            self._learnt = neutral or self._learnt

    def _recall(self, retargeter: Retargeter, descriptor: Array) -> None:
        self._known = remembered_drivers() if self._known is None else self._known
        if not self._recalled and (driver := nearest(descriptor, self._known)) is not None:
            retargeter.recall(driver.neutral)
            self._recalled = True

    def forget(self) -> None:
        """Switched off: nothing is kept, nor what was kept before. Raises VisavisError."""
        self.on, self._whose, self._learnt, self._known = False, None, None, None
        forget_drivers()

    def keep(self) -> None:
        """At the end of the run. Raises VisavisError."""
        if self.on and self._whose is not None and self._learnt is not None:
            keep_driver(self._whose, self._learnt)


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
    pose = np.zeros(7, np.float32)
    return Remembered(
        path, arrays["descriptor"], DriverFace(arrays["shape"], pose, arrays["blinks"], arrays["openings"])
    )

"""`avatar.render.warp.LandmarkWarp` for many faces at once, in torch, on the device that trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.core.arrays import Array
from avatar.learning.pseudo_pairs import WARP_GRID
from avatar.render.warp import control_points, pixel_grid, smoothing

PART = 32  # faces at a time whose distances to all control points lie in memory


def spline_points(sources: Sequence[Array], driving: Array) -> Array:
    """What a warp is made of, to be moved to the device: (1 + T, n, 2), first the points in the driving picture."""
    control, targets = control_points(sources, driving)
    return np.stack([control, *targets]).astype(np.float32)


class DeviceWarp:
    """B backward warps: for places in the driving pictures, where to look in each of T source pictures."""

    def __init__(self, points: Tensor) -> None:
        """points (B, 1 + T, n, 2), of `spline_points`."""
        control, targets = points[:, 0].double(), points[:, 1:].double()
        batch, count, n = targets.shape[:3]
        system = control.new_zeros(batch, n + 3, n + 3)
        system[:, :n, :n] = _kernel(torch.cdist(control, control, compute_mode="donot_use_mm_for_euclid_dist") ** 2)
        system[:, range(n), range(n)] = _on(points, smoothing()).double()
        system[:, :n, n] = system[:, n, :n] = 1.0
        system[:, :n, n + 1 :] = control
        system[:, n + 1 :, :n] = control.transpose(1, 2)
        right = control.new_zeros(batch, n + 3, 2 * count)
        # displacement, so that smoothing pulls towards standing still
        right[:, :n] = (targets - control[:, None]).permute(0, 2, 1, 3).flatten(2)
        self._weights = _solve(system, right).float().unflatten(2, (count, 2))  # (B, n + 3, T, 2)
        self._control = control.float()

    def at(self, places: Tensor, source: int = 0) -> Tensor:
        """(B, P, 2) places in the driving pictures, in [-1, 1], to (B, P, 2) in those of the `source`-th sources."""
        found = []
        for part in range(0, len(places), PART):
            here, control, weights = (x[part : part + PART] for x in (places, self._control, self._weights))
            own = weights[:, :, source]
            # |a-b|² by one matrix product
            squared = (here * here).sum(2)[:, :, None] + (control * control).sum(2)[:, None]
            squared = torch.baddbmm(squared, here, control.transpose(1, 2), alpha=-2.0)
            found.append(here + own[:, -3:-2] + here @ own[:, -2:] + _kernel(squared) @ own[:, :-3])
        return torch.cat(found)


def _solve(system: Tensor, right: Tensor) -> Tensor:
    if system.device.type != "cpu":
        solved: Tensor = torch.linalg.solve(system, right)
        return solved
    # on a processor by numpy: torch's own fails ("Pivots given to lu_solve") once some other library was loaded first
    return torch.from_numpy(np.linalg.solve(system.numpy(), right.numpy()))


def _kernel(squared: Tensor) -> Tensor:
    """r² log r²."""
    squared = squared.clamp_min(1e-9)
    kernel: Tensor = torch.log(squared) * squared
    return kernel


def _on(like: Tensor, array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32)).to(like.device)


def grid(height: int, width: int, like: Tensor) -> Tensor:
    """(height·width, 2) centres of the pixels, (x, y) in [-1, 1]."""
    return _on(like, pixel_grid(height, width)).flatten(0, 1)


def enlarged(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """A flow (B, h, w, 2) at the centres of fewer pixels, as (B, 2, H, W) at those of more."""
    height, width = flow.shape[1:3]
    coarse = grid(height, width, flow).unflatten(0, (height, width))
    fine = grid(*size, flow).unflatten(0, size).permute(2, 0, 1)
    finer: Tensor = F.interpolate((flow - coarse).permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False)
    result: Tensor = finer + fine
    return result


def warped(pictures: Tensor, points: Tensor) -> Tensor:
    """Pictures (B, 3, H, H) as their splines (B, 2, n, 2) move them.

    See `avatar.learning.pseudo_pairs.warp_picture`.
    """
    size = pictures.shape[-1]
    places = DeviceWarp(points).at(grid(WARP_GRID, WARP_GRID, points).expand(len(points), -1, -1))
    coarse = places.unflatten(1, (WARP_GRID, WARP_GRID)).permute(0, 3, 1, 2)
    fine = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    # the mirror at the middle of the outer pixels is what align_corners=True means by reflection
    by_corners = ((fine + 1) * (size / 2) - 0.5) * 2 / (size - 1) - 1
    return F.grid_sample(pictures, by_corners, padding_mode="reflection", align_corners=True)

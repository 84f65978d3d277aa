"""Curves of the driver's and the outputs' signals over the frames, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 340, 110
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 18  # margins

Signal = NDArray[np.float64]


def curves(frames: tuple[int, ...], lines: Mapping[str, Signal], title: str, unit: str) -> str:
    """One SVG. `lines`: CSS class -> (N,) values, NaN where the face was lost; the first is drawn first.

    Lines break where nothing is known. The classes are styled by the page.
    """
    known = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    first, last = frames[0], max(frames[-1], frames[0] + 1)

    def x(frame: float) -> float:
        return LEFT + (frame - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
    ]
    for value in (low, high):
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{_short(value)}{unit}</text>')
    for frame, anchor in ((first, "start"), (frames[-1], "end")):
        parts.append(f'<text x="{x(frame):.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{frame}</text>')
    for name, values in lines.items():
        if path := _path([(x(f), y(v) if np.isfinite(v) else None) for f, v in zip(frames, values, strict=True)]):
            parts.append(f'<path class="line {escape(name)}" d="{path}"/>')
    return "".join(parts) + "</svg>"


def _path(points: list[tuple[float, float | None]]) -> str:
    path, pen_down = [], False
    for across, down in points:
        if down is None:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{across:.1f} {down:.1f}")
        pen_down = True
    return "".join(path)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"

"""Prints which folder imports which, and that there is no circle among them; the exit code is 1 where there is one.

usage: python scripts/folder_graph.py
"""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = ("avatar", "engines", "export")


def folder(module: str) -> str:
    """`avatar.live.loop` stands in `avatar.live`; `engines` and `export` are one folder each."""
    return ".".join(module.split(".")[: 2 if module.startswith("avatar") else 1])


def folders() -> dict[str, set[str]]:
    """Each folder with those that it imports."""
    graph = grimp.build_graph(*PACKAGES)
    found: dict[str, set[str]] = {folder(module): set() for module in graph.modules}
    for module in graph.modules:
        used = {folder(imported) for imported in graph.find_modules_directly_imported_by(module)}
        found[folder(module)] |= used - {folder(module)}
    return found


def main() -> int:
    graph = folders()
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        print(f"The folders import each other in a circle: {' -> '.join(reversed(error.args[1]))}")
        return 1
    for name in reversed(order):
        print(f"{name:18} -> {' '.join(used.removeprefix('avatar.') for used in sorted(graph[name])) or 'nothing'}")
    print(f"{len(order)} folders, {sum(map(len, graph.values()))} arrows, no circle")
    return 0


if __name__ == "__main__":
    sys.exit(main())

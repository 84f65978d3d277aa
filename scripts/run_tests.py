"""Runs the tests: what may run side by side, then the others one at a time; and says at the end what ran.

usage: python scripts/run_tests.py [KIND...]    (unit, realtime, e2e; all without any)
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
# a test that is of both is end-to-end
KINDS = {"unit": "unit", "realtime": "realtime and not e2e", "e2e": "e2e"}
SIDE_BY_SIDE = ["-n", "auto", "--dist", "loadfile"]  # a file's fixtures are made once
SIDE_BY_SIDE += ["--no-loadscope-reorder"]  # tests/kinds.py begins with the longest
RUNS = {  # one after the other: what pytest is told beside the kinds -> how they run
    "side by side": ("not realtime", SIDE_BY_SIDE),
    "one at a time": ("realtime", []),
}
NO_TESTS = 5  # what pytest answers then


def run(kinds: list[str], which: str, how: list[str], report: Path) -> int:
    wanted = f"({' or '.join(f'({KINDS[kind]})' for kind in kinds)}) and {which}"
    command = [sys.executable, "-m", "pytest", "-m", wanted, *how, "--durations", "12", "--junit-xml", str(report)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return 0 if code == NO_TESTS and len(kinds) < len(KINDS) else code


def why(skip: ElementTree.Element) -> str:
    """The reason of one test; a whole file's stands in a tuple of path, line and reason."""
    if skip.get("message") != "collection skipped":
        return skip.get("message", "")
    return str(ast.literal_eval(skip.text or "")[2]).removeprefix("Skipped: ")


def kind_of(case: ElementTree.Element) -> str:
    """As tests/kinds.py has written it down; of a file that is skipped whole nothing is known."""
    found = case.find("properties/property[@name='kind']")
    return "" if found is None else found.get("value", "")


def summary(kinds: list[str], reports: dict[str, Path]) -> str:
    """A line with counts for each kind, one for each reason to skip, and one for each run."""
    lines, tests, skips = [], [], {}
    for name, report in reports.items():
        if not report.exists():
            lines.append(f"{name}: did not run to its end")
            continue
        suite = ElementTree.parse(report).getroot()[0]
        lines.append(f"{name}: {float(suite.get('time', 0)):.0f} s")
        tests += suite.findall("testcase")
    for case in tests:
        for skip in case.iter("skipped"):  # a file that is skipped whole is so in each run
            skips[case.get("classname"), case.get("name")] = why(skip)
    counts = []
    for kind in kinds:
        own = [case for case in tests if kind_of(case) == kind]
        bad = sum(case.find("failure") is not None or case.find("error") is not None for case in own)
        skipped = sum(case.find("skipped") is not None for case in own)
        counts.append(f"{kind:9}{len(own) - bad - skipped} passed, {bad} failed, {skipped} skipped")
    reasons = [f"{'':9}skipped {number}: {reason}" for reason, number in Counter(skips.values()).most_common()]
    return "\n".join([*counts, *reasons, *lines])


def main() -> int:
    kinds = sys.argv[1:] or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        print(f"There is no kind of tests named {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}.")
        return 2
    with tempfile.TemporaryDirectory(prefix="visavis-tests-") as folder:
        reports = {name: Path(folder) / f"{i}.xml" for i, name in enumerate(RUNS)}
        codes = [run(kinds, *RUNS[name], reports[name]) for name in RUNS]
        print("\n" + summary(kinds, reports))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

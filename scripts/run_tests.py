"""Runs the tests, kind after kind, and says at the end what ran: unit tests on all cores, the others one at a time.

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
KINDS = {
    "unit": ["-m", "unit", "-n", "auto", "--dist", "loadfile"],  # a file's fixtures are made once
    "realtime": ["-m", "realtime and not e2e"],  # a whole program in a file of live loops runs once, as what it is
    "e2e": ["-m", "e2e"],
}


def run(kind: str, report: Path) -> int:
    command = [sys.executable, "-m", "pytest", *KINDS[kind], "--junit-xml", str(report)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def why(skip: ElementTree.Element) -> str:
    """The reason of one test; a whole file's stands in a tuple of path, line and reason."""
    if skip.get("message") != "collection skipped":
        return skip.get("message", "")
    return str(ast.literal_eval(skip.text or "")[2]).removeprefix("Skipped: ")


def summary(kind: str, report: Path) -> str:
    """One line with counts and time, and one for each reason to skip."""
    if not report.exists():
        return f"{kind:9}did not run to its end"
    suite = ElementTree.parse(report).getroot()[0]
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    bad = count["failures"] + count["errors"]
    passed = count["tests"] - bad - count["skipped"]
    reasons = Counter(why(skip) for skip in suite.iter("skipped"))
    lines = [f"{kind:9}{passed} passed, {bad} failed, {count['skipped']} skipped, {float(suite.get('time', 0)):.0f} s"]
    lines += [f"{'':9}  skipped {number}: {reason}" for reason, number in reasons.most_common()]
    return "\n".join(lines)


def main() -> int:
    kinds = sys.argv[1:] or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        print(f"There is no kind of tests named {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}.")
        return 2
    with tempfile.TemporaryDirectory(prefix="visavis-tests-") as folder:
        reports = {kind: Path(folder) / f"{kind}.xml" for kind in kinds}
        codes = {kind: run(kind, report) for kind, report in reports.items()}
        print("\n" + "\n".join(summary(kind, report) for kind, report in reports.items()))
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())

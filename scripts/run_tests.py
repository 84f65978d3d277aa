"""Runs the tests, kind after kind, and says at the end what ran.

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
SIDE_BY_SIDE = ["-n", "auto", "--dist", "loadfile"]  # a file's fixtures are made once
SIDE_BY_SIDE += ["--no-loadscope-reorder"]  # tests/kinds.py begins with the longest
# kind -> runs of pytest, one after another. A test that is of both kinds is end-to-end, and runs alone.
KINDS = {
    "unit": [["-m", "unit", *SIDE_BY_SIDE]],
    "realtime": [["-m", "realtime and not e2e"]],
    "e2e": [["-m", "e2e and not realtime", *SIDE_BY_SIDE], ["-m", "e2e and realtime"]],
}


def run(arguments: list[str], report: Path) -> int:
    command = [sys.executable, "-m", "pytest", *arguments, "--junit-xml", str(report)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def why(skip: ElementTree.Element) -> str:
    """The reason of one test; a whole file's stands in a tuple of path, line and reason."""
    if skip.get("message") != "collection skipped":
        return skip.get("message", "")
    return str(ast.literal_eval(skip.text or "")[2]).removeprefix("Skipped: ")


def summary(kind: str, reports: list[Path]) -> str:
    """One line with counts and time, and one for each reason to skip."""
    if not all(report.exists() for report in reports):
        return f"{kind:9}did not run to its end"
    suites = [ElementTree.parse(report).getroot()[0] for report in reports]
    tests, *bad, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    )
    # a file that is skipped whole is so in each run
    skips = {
        (case.get("classname"), case.get("name")): why(skip)
        for suite in suites
        for case in suite.iter("testcase")
        for skip in case.iter("skipped")
    }
    passed, seconds = tests - sum(bad) - skipped, sum(float(suite.get("time", 0)) for suite in suites)
    lines = [f"{kind:9}{passed} passed, {sum(bad)} failed, {len(skips)} skipped, {seconds:.0f} s"]
    lines += [f"{'':9}  skipped {number}: {reason}" for reason, number in Counter(skips.values()).most_common()]
    return "\n".join(lines)


def main() -> int:
    kinds = sys.argv[1:] or list(KINDS)
    if unknown := set(kinds) - set(KINDS):
        print(f"There is no kind of tests named {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}.")
        return 2
    with tempfile.TemporaryDirectory(prefix="visavis-tests-") as folder:
        reports = {kind: [Path(folder) / f"{kind}-{i}.xml" for i in range(len(KINDS[kind]))] for kind in kinds}
        codes = [run(*one) for kind in kinds for one in zip(KINDS[kind], reports[kind], strict=True)]
        print("\n" + "\n".join(summary(kind, reports[kind]) for kind in kinds))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

"""The kinds of tests: `unit`, `realtime` and `e2e`; and that an end-to-end test is never left out unseen.

A test whose file or function says neither `realtime` nor `e2e` is `unit`. One that is both is end-to-end, and has the
computer to itself. Where CI is set, an end-to-end test
that would be skipped fails instead: what it needs must be there. NOT_IN_CI is what the set-up does not bring.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

KINDS = ("unit", "realtime", "e2e")

# Begun first: begun last, one of them runs on alone when the other cores have nothing left to do.
LONGEST = ("test_v4l2loopback", "test_phones_home", "test_trainer", "test_three_hours", "test_full_training")

# scripts/test_packages.sh knows Debian's packages alone
SET_UP = Path("/etc/debian_version").exists() and "ID=debian\n" in Path("/etc/os-release").read_text(encoding="utf-8")

# part of the reason that such a test gives -> what it would take
NOT_IN_CI = {
    "'ray'": "Ray: pip install 'visavis[cluster]'",
    "NVIDIA GPU": "an NVIDIA GPU",
    "LiveKit": "LiveKit: pip install 'visavis[livekit]'",
    "no network interface": "a network interface beside loopback",
    "too busy": "a computer that shows ten pictures a second",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            item.add_marker("unit")
        kind = next(kind for kind in reversed(KINDS) if item.get_closest_marker(kind))
        item.user_properties.append(("kind", kind))  # for scripts/run_tests.py
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def _refused(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Why this skip is a failure in CI."""
    if not (report.skipped and os.environ.get("CI") and SET_UP) or hasattr(report, "wasxfail"):
        return None
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if any(part in reason for part in NOT_IN_CI):
        return None
    return f"{reason}\nWhere CI is set, an end-to-end test must run. Install that, or list it in tests/kinds.py."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("e2e") and (why := _refused(report)):
        report.outcome, report.longrepr = "failed", why
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if "e2e" in collector.path.parts and (why := _refused(report)):
        report.outcome, report.longrepr = "failed", why
    return report

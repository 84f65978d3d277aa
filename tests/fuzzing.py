"""How hard hypothesis tries, in one place. Tests say `@given(…)` and nothing more.

With the suite each property is tried with the same EXAMPLES inputs every time, so that a pass stays a pass. `make fuzz`
sets VISAVIS_FUZZ_SECONDS: each is then tried with new inputs for that long, and what failed
is tried first the next time.
"""

import functools
import itertools
import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

SECONDS_VARIABLE = "VISAVIS_FUZZ_SECONDS"
EXAMPLES = 50

# A computer that is busy is no fault of the code under test, and a folder may serve many examples.
FORGIVEN = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)

settings.register_profile(
    "visavis", max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=FORGIVEN
)
settings.register_profile("long", max_examples=500, deadline=None, suppress_health_check=FORGIVEN)
settings.load_profile("long" if SECONDS_VARIABLE in os.environ else "visavis")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A property, again and again until VISAVIS_FUZZ_SECONDS are over."""
    if SECONDS_VARIABLE not in os.environ or not is_hypothesis_test(pyfuncitem.obj):
        return None
    end_s = time.monotonic() + float(os.environ[SECONDS_VARIABLE])
    given = pyfuncitem.obj.hypothesis
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    tried, count = given.inner_test, itertools.count()

    @functools.wraps(tried)
    def counted(*args: Any, **kwargs: Any) -> Any:
        next(count)
        return tried(*args, **kwargs)

    given.inner_test = counted
    try:
        while time.monotonic() < end_s:
            pyfuncitem.obj(**arguments)
    finally:
        given.inner_test = tried
        pyfuncitem.user_properties.append(("inputs", next(count)))
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, count in getattr(report, "user_properties", ()):
                if name == "inputs" and report.when == "call":
                    terminalreporter.write_line(f"{count:9,} inputs  {report.nodeid}")

"""For the whole suite."""

import os
import signal
import tempfile

import pytest

from avatar.core.own_process import settle
from avatar.sandbox.no_network import ALLOW_VARIABLE
from avatar.tracking.model_asset import tracker_model

pytest_plugins = ["tests.fuzzing", "tests.kinds"]

settle()  # as the command does

# Commands that run inside the test process would take its network away for all later tests. `test_no_network` and the
# end-to-end tests run without this.
os.environ.setdefault(ALLOW_VARIABLE, "1")

# Defaults of whoever runs the tests are none of theirs.
os.environ["VISAVIS_CONFIG"] = os.devnull


# In the background, shells have their programs ignore Ctrl-C and Ctrl-\\, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT"):
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def own_cache() -> object:
    """A cache for the tests alone: which engine is the fastest is measured in it once; the user's stays as it is."""
    os.environ.setdefault("VISAVIS_TRACKER_MODEL", str(tracker_model()))
    with tempfile.TemporaryDirectory(prefix="visavis-tests-") as folder:
        before = os.environ.get("VISAVIS_CACHE")
        os.environ["VISAVIS_CACHE"] = folder
        yield folder
        if before is None:
            del os.environ["VISAVIS_CACHE"]
        else:
            os.environ["VISAVIS_CACHE"] = before

"""For the whole suite."""

import os

from avatar.trust.no_network import ALLOW_VARIABLE

# Commands that run inside the test process would take its network away for all later tests. `test_no_network` and the
# end-to-end tests run without this.
os.environ.setdefault(ALLOW_VARIABLE, "1")

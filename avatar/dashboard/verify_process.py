"""The process that looks at a file which was dropped: no network, bounded memory, and its end ends nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from avatar.core.errors import VisavisError
from avatar.core.own_process import settle
from avatar.sandbox.no_network import refuse_network

MOST_BYTES = 4 << 30  # of its memory; four seconds of 8K take less


def main() -> None:
    settle()
    refuse_network(whatever_is_set=True)
    if sys.platform == "linux":
        import resource

        from avatar.sandbox.confinement import lower_limit

        lower_limit(resource.RLIMIT_DATA, MOST_BYTES)
        lower_limit(resource.RLIMIT_CORE, 0)
    from avatar.live.mark_report import report_on_file

    try:
        report = report_on_file(Path(sys.argv[1]), lambda share: _say({"share": share}))
        _say({"words": report.in_words(), "notes": report.notes, "found": report.as_json()})
    except VisavisError as error:
        _say({"error": error.on_page})
    except MemoryError:
        _say({"error": "It takes more memory than any video of a camera. Save a smaller copy."})


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

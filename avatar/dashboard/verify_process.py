"""The process that looks at a file which was dropped: no network, bounded memory, and its end ends nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

from avatar.dashboard.file_process import Line, answer, say


def main() -> None:
    answer(_report, "It takes more memory than any video of a camera. Save a smaller copy.")


def _report() -> Line:
    from avatar.live.mark_report import report_on_file

    report = report_on_file(Path(sys.argv[1]), lambda share: say({"share": share}))
    return {"words": report.in_words(), "notes": report.notes, "found": report.as_json()}


if __name__ == "__main__":
    main()

"""`visavis open`, which `visavis` alone is too."""

from __future__ import annotations

from typing import Annotated

import typer

from avatar.cli.call_options import PageLink


def open(  # noqa: A001 (the command's name)
    port: Annotated[
        int, typer.Option(help="Of the page, on this computer alone; 0: a free one.", min=0, max=65535)
    ] = 0,
    *,
    announcement: PageLink,
) -> None:
    """Open the page: make avatars, be one, use it in other programs, call others. Ctrl-C ends it.

    Nothing of it can be reached from outside this computer. `visavis call` does the same, and has more options.

    Example: visavis open --no-open    # prints the link alone
    """
    from avatar.cli.call import call
    from avatar.cli.call_options import Extent, Input, MediaPath, Meeting
    from avatar.cli.options import ThreadedEngineChoice

    call(
        driver=Input(),
        meeting=Meeting(port=port),
        path=MediaPath(),
        extent=Extent(),
        drawing=ThreadedEngineChoice(),
        announcement=announcement,
    )

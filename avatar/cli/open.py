"""`visavis open`, which `visavis` alone is too."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from avatar.cli.call_options import PageLink


def open(  # noqa: A001 (the command's name)
    port: Annotated[
        int, typer.Option(help="Of the page, on this computer alone; 0: a free one.", min=0, max=65535)
    ] = 0,
    stop: Annotated[bool, typer.Option("--stop", help="End the page that is served already.")] = False,
    *,
    announcement: PageLink,
) -> None:
    """Open the page: make avatars, be one, use it in other programs, call others. Ctrl-C ends it.

    Nothing of it can be reached from outside this computer. Where it is served already, that one is opened. `visavis
    call` serves the same page, and has more options.

    Example: visavis open --no-open    # prints the link alone
    """
    from avatar.cli.call import call
    from avatar.cli.call_options import Extent, Input, MediaPath, Meeting
    from avatar.cli.options import ThreadedEngineChoice
    from avatar.cli.page_link import goes_to_journal, open_link, served_page
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import UsageError

    page = served_page()
    if stop:
        if page is None:
            raise UsageError("No page is served now: there is nothing to stop.")
        os.kill(page.pid, signal.SIGTERM)
        return
    if page is not None:
        if announcement.as_json:
            print_json({"page": page.link}, indent=None)
        Terminal(stderr=True).say("Your page is served already" + ("." if goes_to_journal() else f": {page.link}"))
        if announcement.open_page:
            open_link(page.link)
        return
    call(
        driver=Input(),
        meeting=Meeting(port=port),
        path=MediaPath(),
        extent=Extent(),
        drawing=ThreadedEngineChoice(),
        announcement=announcement,
    )

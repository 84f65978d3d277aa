"""How every command, and every group of them, reads what was typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from avatar.core.errors import UsageError

MOST = 1e9  # of seconds or anything else: what is larger is no number that anybody means, and overflows a clock


class CommandApp(typer.Typer):
    """typer's, with the settings that all share."""

    def __init__(self, **how: Any) -> None:
        super().__init__(
            add_completion=False,
            context_settings={"help_option_names": ["--help", "-h"]},
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
            **how,
        )

    def command(self, name: str | None = None, **how: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=_Command, **how)


class _Command(TyperCommand):
    def invoke(self, ctx: Any) -> Any:
        """Numbers are numbers: bounds of options do not refuse NaN everywhere, nor infinity. Raises UsageError."""
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            if isinstance(value, float) and not abs(value) <= MOST:
                raise UsageError(f"{max(parameter.opts, key=len)} {value}: give a number of {MOST:,.0f} at most.")
        return super().invoke(ctx)

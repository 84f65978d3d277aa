"""How every command, and every group of them, reads what was typed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from avatar.core.errors import UsageError

MOST = 1e9  # of seconds or anything else: what is larger is no number that anybody means, and overflows a clock


class CommandApp(typer.Typer):
    """typer's, with the settings that all share."""

    def __init__(self, **how: Any) -> None:
        super().__init__(
            context_settings={"help_option_names": ["--help", "-h"]},
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
            **{"add_completion": False, "cls": _Group, **how},
        )

    def command(self, name: str | None = None, **how: Any) -> Callable[[Any], Any]:
        register = super().command(name, **{"cls": _Command, **how})
        return lambda function: register(flat(function))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> Any:
        return _flags_without_type(super().get_params(ctx))


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> Any:
        return _flags_without_type(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Numbers are numbers: bounds of options do not refuse NaN everywhere, nor infinity. Raises UsageError."""
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            if isinstance(value, float) and not abs(value) <= MOST:
                raise UsageError(f"{max(parameter.opts, key=len)} {value}: give a number of {MOST:,.0f} at most.")
        return super().invoke(ctx)


def _flags_without_type(parameters: list[Any]) -> list[Any]:
    """typer's help says <bool> beside each flag, as if one had to be typed."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


def flat(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as typer can read it: a parameter that is a dataclass becomes one option for each of its fields.

    So options that belong together, or that several commands have, are declared once. The fields are annotated as
    typer wants its parameters: `Annotated[str, typer.Option(help=...)] = "auto"`.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if name != "return" and is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, given in inspect.signature(function).parameters.items():
        if name in groups:
            within = get_type_hints(groups[name], include_extras=True)
            parameters += [_option(field, within[field.name]) for field in fields(groups[name])]
        else:
            parameters.append(given.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(function)
    def called(**values: Any) -> Any:
        for name, kind in groups.items():
            given = {field.name: values.pop(field.name) for field in fields(kind) if field.name in values}
            values[name] = kind(**given)
        return function(**values)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _option(field: Field[Any], annotation: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

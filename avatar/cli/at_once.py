"""Several things looked at before anything is begun, so that all that is missing is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar, cast

from avatar.core.errors import VisavisError

T = TypeVar("T")


class Check(Protocol):
    def __call__(self, look: Callable[[], T]) -> T: ...


@contextmanager
def at_once() -> Iterator[Check]:
    """Gives what calls each of several functions, of which one after another may raise a VisavisError.

    It returns what the function does. Where one of them has raised, all their messages are one error at the end.

    >>> with at_once() as check:
    ...     number = check(lambda: 2)
    """
    errors: list[VisavisError] = []

    def check(look: Callable[[], T]) -> T:
        try:
            return look()
        except VisavisError as error:
            errors.append(error)
            return cast(T, None)  # nobody gets to use it

    yield check
    if len(errors) == 1:
        raise errors[0]
    if errors:
        all_told = VisavisError("\n".join(map(str, errors)))
        all_told.exit_code = max(error.exit_code for error in errors)
        raise all_told

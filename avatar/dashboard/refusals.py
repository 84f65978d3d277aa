"""What a page is refused, and how it is told: {error: "what happened, what to do"} with a status of HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from avatar.core.errors import InputError, VisavisError
from avatar.http.safety import Gate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotThereError(InputError):
    """There is no such avatar."""


class BusyError(VisavisError):
    """Something else is being done, or shown, that this would disturb."""


class TooLargeError(InputError):
    """An upload is larger than any picture."""


class TooManyError(VisavisError):
    """More at once than one page needs."""


STATUS: dict[type[VisavisError], int] = {NotThereError: 404, BusyError: 409, TooLargeError: 413, TooManyError: 429}


def for_owner(gate: Gate, handler: Handler) -> Handler:
    """For the owner alone; what is wrong becomes {error}."""

    async def checked(request: web.Request) -> web.StreamResponse:
        gate.require(request, "owner")
        try:
            return await handler(request)
        except VisavisError as error:
            refusal = web.json_response({"error": error.on_page}, status=STATUS.get(type(error), 400))
            if isinstance(error, TooLargeError):
                refusal.force_close()  # the rest of the body is not read
            return refusal
        except (TimeoutError, ConnectionError):
            raise
        except OSError as error:  # a full disk, for example
            why = f"That cannot be kept or read here: {error.strerror or error}."
            return web.json_response({"error": why}, status=500)

    return checked

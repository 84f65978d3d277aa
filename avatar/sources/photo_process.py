"""The process that decodes photos for `PhotoReader`: whatever a forged file does to a decoder, it does it here.

python -P -m avatar.sources.photo_process
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from avatar.core.errors import PhotoError
from avatar.core.own_process import settle
from avatar.core.plain_text import plain_text
from avatar.sandbox.confinement import lower_limit, shut_off
from avatar.sources.photo_wire import LIMIT_S, MAX_TEXT_BYTES, REPLY, REQUEST, STARTED

MAX_MEMORY_BYTES = 2560 << 20  # above what MAX_PIXELS of any format takes


def main() -> None:
    settle()
    shut_off()  # where it can be: decoders ask nobody anything, and only read
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes elsewhere
    from avatar.sources.photo_decoder import decode_photo

    _bound()
    replies.write(STARTED)
    replies.flush()
    while len(request := requests.read(REQUEST.size)) == REQUEST.size:
        path = Path(os.fsdecode(requests.read(*REQUEST.unpack(request))))
        if sys.platform != "win32":
            signal.alarm(2 * round(LIMIT_S))  # the end, should nobody be left to kill it
        try:
            picture = decode_photo(path)
            replies.write(REPLY.pack(*picture.shape[:2], 0) + picture.tobytes())
        except PhotoError as error:
            _refuse(replies, error.fault)
        except MemoryError:
            _refuse(replies, "is damaged, or does not fit into memory. Save a smaller copy and try again.")
        except Exception as error:  # each library has its own way of saying it
            why = plain_text(error, 200) or type(error).__name__
            _refuse(replies, f"is damaged or cut off ({why}). Copy or export the photo again, or use another one.")
        replies.flush()
    os._exit(0)


def _refuse(replies: BinaryIO, why: str) -> None:
    text = why.encode(errors="replace")[:MAX_TEXT_BYTES]
    replies.write(REPLY.pack(0, 0, len(text)) + text)


def _bound() -> None:
    """No more memory, no file written. On other systems than Linux, the limits by format must suffice."""
    if sys.platform == "linux":
        import resource

        lower_limit(resource.RLIMIT_DATA, MAX_MEMORY_BYTES)
        lower_limit(resource.RLIMIT_FSIZE, 0)


if __name__ == "__main__":
    main()

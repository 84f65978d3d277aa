"""What waits to be decoded: half a second of video at most."""

from __future__ import annotations

import queue
import re
import threading
from typing import Any

MOST_WAITING = 15  # frames
PLI_AGAIN = 30  # frames that were skipped since a key frame was asked for (PLI)

# VP8: RFC 7741, section 4.3, the P bit. H.264: a slice of an IDR picture (NAL unit type 5) or a parameter set (7)
_H264_KEY = re.compile(rb"\x00\x00\x01[\x05\x07\x25\x27\x45\x47\x65\x67]")


class DecoderQueue(queue.Queue[Any]):
    """Instead of aiortc's own, which grows for ever where the computer decodes slower than frames come.

    When too many wait, they are all thrown away, as is what comes until the next key frame, which is asked for.
    """

    def __init__(self, ask_for_key_frame: threading.Event) -> None:
        super().__init__()
        self.skipped = 0
        self._ask, self._skipping = ask_for_key_frame, False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """`item`: (codec, encoded frame), or None, which ends the decoder."""
        if item is not None and self._skip(item[0].name, item[1].data):
            if self.skipped % PLI_AGAIN == 0:
                self._ask.set()
            self.skipped += 1
            return
        super().put(item, block, timeout)

    def _skip(self, codec: str, data: bytes) -> bool:
        if self.qsize() >= MOST_WAITING:
            self._skipping = True
            self._ask.set()
            with self.mutex:
                self.skipped += len(self.queue)
                self.queue.clear()
        self._skipping = self._skipping and not _is_key_frame(codec, data)
        return self._skipping


def _is_key_frame(codec: str, data: bytes) -> bool:
    if codec.upper() == "VP8":
        return bool(data) and not data[0] & 1
    return _H264_KEY.search(data) is not None

"""The preview's window, in a process of its own, since toolkits want a program's main thread for their windows.

    usage: python -m avatar.publish.preview_window WIDTH HEIGHT    (RGB pictures on the standard input)

Says "ready" on the standard output once the window is there. Ends with code 0 when the window was closed by the user,
and with END_OF_INPUT when no more pictures come.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import cv2
import numpy as np

TITLE = "visavis (q closes)"
ESCAPE = 27
END_OF_INPUT = 3
POLL_MS = 10


def main(width: int, height: int) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the program that sends the pictures
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(TITLE, width, height)
    except cv2.error as error:
        print(error.err, flush=True)
        return 1
    print("ready", flush=True)
    pictures: list[bytes] = []
    ended = threading.Event()

    def receive() -> None:
        while len(data := sys.stdin.buffer.read(width * height * 3)) == width * height * 3:
            pictures[:] = [data]  # the newest one
        ended.set()

    threading.Thread(target=receive, daemon=True).start()
    shown = False
    while not ended.is_set():
        if pictures:
            rgb = np.frombuffer(pictures.pop(), np.uint8).reshape(height, width, 3)
            cv2.imshow(TITLE, rgb[:, :, ::-1])
            shown = True
        key = cv2.waitKey(POLL_MS) & 0xFF
        if key in (ord("q"), ESCAPE) or (shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1):
            return 0
    return END_OF_INPUT


if __name__ == "__main__":
    # at once: Python's own way out aborts while a thread still reads
    os._exit(main(int(sys.argv[1]), int(sys.argv[2])))

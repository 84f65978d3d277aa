"""Recorded motion drives an avatar whose pictures go to a WebRTC server by WHIP. No camera, no face tracker.

    python examples/face_states_to_webrtc.py anna talk.motion https://sfu.example/whip

`visavis record-motion` makes .motion files; FaceStates of your own tracker do as well. The server's bearer token is
read from VISAVIS_WHIP_TOKEN. Needs the extra `call`.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import avatar

name, motion_path, url = sys.argv[1:]

options = avatar.LiveOptions(size=(512, 512))
motion = avatar.read_motion(Path(motion_path))
publisher = avatar.open_publisher(f"whip:{url}")
with avatar.Puppet(avatar.load(name), options) as puppet:
    try:
        publisher.open(*options.size, motion.fps)  # returns when the connection stands
        start_ns = time.monotonic_ns()
        for index, state in enumerate(motion.states()):
            due_ns = start_ns + state.capture_ns
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            picture = puppet.drive_state(replace(state, capture_ns=due_ns))
            publisher.send(avatar.Frame(picture, due_ns, index))
    finally:
        publisher.close()
print(f"{len(motion)} pictures to {url}; {publisher.dropped} dropped")

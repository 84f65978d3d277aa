"""Several avatars follow one driver, side by side in one video: one face tracker, one engine.

    python examples/many_avatars.py talk.mp4 choir.mp4 anna berta carl

After the two videos come names of enrolled avatars, or .avatar files.
"""

import sys
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

import avatar

source, output, *names = sys.argv[1:]

people = [avatar.load(name) for name in names]
side = 256
video = avatar.VideoFile(Path(source))
writer = avatar.VideoWriter(Path(output), side * len(people), side, video.fps)
with ExitStack() as opened:
    shared = next((person for person in people if not person.fine_tuned), None)  # the others bring their own network
    engine = opened.enter_context(closing(avatar.open_shared_engine(shared))) if shared else None
    options = avatar.LiveOptions(size=(side, side))
    puppets = [opened.enter_context(avatar.Puppet(person, options, engine, patient=True)) for person in people]
    for frame in video:
        state = puppets[0].track(frame.rgb, round((frame.media_s - video.first_media_s) * 1e9))  # once for all of them
        writer.write(np.hstack([puppet.drive_state(state) for puppet in puppets]), frame.media_s)
writer.finish()
print(f"{writer.path}: {len(people)} avatars, {frame.index + 1} pictures")

"""The person in a video drives an avatar into another video, picture by picture, at the video's own times. No sound.

    python examples/video_to_video.py anna talk.mp4 anna-talks.mp4

The first argument is an enrolled avatar's name, or an .avatar file.
"""

import sys
from pathlib import Path

import avatar

name, source, output = sys.argv[1:]

options = avatar.LiveOptions(size=(512, 512))
video = avatar.VideoFile(Path(source))
writer = avatar.VideoWriter(Path(output), *options.size, video.fps)
with avatar.Puppet(avatar.load(name), options, patient=True) as puppet:  # patient: no frame of a file is lost
    for frame in video:
        # the file's clock, not the computer's: what is smoothed must not depend on how fast this computer is
        picture = puppet.drive(frame.rgb, capture_ns=round((frame.media_s - video.first_media_s) * 1e9))
        writer.write(picture, frame.media_s)
writer.finish()  # until then the file lies beside its name
print(f"{writer.path}: {frame.index + 1} pictures")

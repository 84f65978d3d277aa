"""A webcam drives an avatar into a virtual camera, until Ctrl-C: `visavis live` without its threads.

    python examples/webcam_to_virtual_camera.py anna 0 virtual-camera

The camera is a number, a part of a name, an address, or a video that plays one. In place of virtual-camera: pipewire,
preview, FILE.mp4 or whip:URL. For one picture after the other the stages take turns here; `visavis live` lets them run
at the same time.
"""

import sys

import avatar

name, camera_name, target = sys.argv[1:]

options = avatar.LiveOptions(size=(640, 480), mirror=True)
publisher = avatar.open_publisher(target)
camera = avatar.open_camera(camera_name)
shown = 0
try:
    with avatar.Puppet(avatar.load(name), options) as puppet:
        publisher.open(*options.size, camera.fps)
        while (frame := camera.read()) is not None:
            if isinstance(frame, avatar.NoPicture):  # unplugged: the avatar idles until the camera is back
                picture = puppet.drive_state(avatar.no_face(frame.capture_ns))
            else:
                picture = puppet.drive(frame.rgb, frame.capture_ns)
            publisher.send(avatar.Frame(picture, frame.capture_ns, shown))
            shown += 1
except KeyboardInterrupt:
    pass
finally:
    camera.close()
    publisher.close()
print(f"{shown} pictures to {target}; {camera.dropped + publisher.dropped} dropped")

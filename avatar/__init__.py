"""visavis: a talking head from a few photos, driven by a camera.

    import avatar

    person = avatar.enroll(["anna.jpg"], "anna")
    with avatar.Puppet(person) as puppet:
        picture = puppet.drive(frame_rgb)

Importing this changes nothing in its host and loads nothing: a name is imported when it is used. docs/API.md has them
all, `examples/` has programs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatar.core.avatar import Avatar
    from avatar.core.errors import DeviceError, InputError, UsageError, VisavisError
    from avatar.core.frame import Frame, NoPicture
    from avatar.face.state import FaceState, no_face
    from avatar.identity.consent import Statement
    from avatar.identity.enrolment_steps import EnrolmentOptions
    from avatar.library import avatars, enroll, load, open_shared_engine
    from avatar.live.background import Background
    from avatar.live.options import LiveOptions
    from avatar.live.outputs import open_publisher
    from avatar.live.puppet import Puppet
    from avatar.publish.video_writer import VideoWriter
    from avatar.render.engine_options import EngineOptions
    from avatar.sources.camera import open_camera
    from avatar.sources.motion import read_motion
    from avatar.sources.photo import load_photo
    from avatar.sources.video_file import VideoFile
    from avatar.trust.label import LabelStyle

__all__ = [
    "Avatar",
    "Background",
    "DeviceError",
    "EngineOptions",
    "EnrolmentOptions",
    "FaceState",
    "Frame",
    "InputError",
    "LabelStyle",
    "LiveOptions",
    "NoPicture",
    "Puppet",
    "Statement",
    "UsageError",
    "VideoFile",
    "VideoWriter",
    "VisavisError",
    "avatars",
    "enroll",
    "load",
    "load_photo",
    "no_face",
    "open_camera",
    "open_publisher",
    "open_shared_engine",
    "read_motion",
]

_HOMES = {
    "core.avatar": ("Avatar",),
    "core.errors": ("DeviceError", "InputError", "UsageError", "VisavisError"),
    "core.frame": ("Frame", "NoPicture"),
    "face.state": ("FaceState", "no_face"),
    "identity.consent": ("Statement",),
    "identity.enrolment_steps": ("EnrolmentOptions",),
    "library": ("avatars", "enroll", "load", "open_shared_engine"),
    "live.background": ("Background",),
    "live.options": ("LiveOptions",),
    "live.outputs": ("open_publisher",),
    "live.puppet": ("Puppet",),
    "publish.video_writer": ("VideoWriter",),
    "render.engine_options": ("EngineOptions",),
    "sources.camera": ("open_camera",),
    "sources.motion": ("read_motion",),
    "sources.photo": ("load_photo",),
    "sources.video_file": ("VideoFile",),
    "trust.label": ("LabelStyle",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"avatar.{home}"), name)
    raise AttributeError(f"module 'avatar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

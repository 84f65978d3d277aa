"""docs/API.md, from the signatures and docstrings of what `import avatar` gives.

scripts/api_docs.py            write it
scripts/api_docs.py --check    fail where it is not what would be written
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import avatar
from avatar.publish.publisher import Publisher
from avatar.sources.camera import Camera
from avatar.sources.motion import Motion

PAGE = Path(__file__).resolve().parents[1] / "docs" / "API.md"
HEAD = """# visavis from Python

Written by `scripts/api_docs.py` from the docstrings: change those, not this page.

## A program

A photo, and a video of anybody who talks:

```python
from pathlib import Path
import avatar

person = avatar.enroll(["anna.jpg"], "anna", keep=False)
video = avatar.VideoFile(Path("talk.mp4"))
writer = avatar.VideoWriter(Path("anna-talks.mp4"), 512, 512, video.fps)
with avatar.Puppet(person, patient=True) as puppet:
    for frame in video:
        writer.write(puppet.drive(frame.rgb, round(frame.media_s * 1e9)), frame.media_s)
writer.finish()
```

`Puppet` draws one picture after the other, in your thread, with the parts of `live`; importing `avatar` loads nothing
and changes nothing in your process. Five more programs: [photo to picture](../examples/photo_to_picture.py),
[video to video](../examples/video_to_video.py), [webcam to virtual camera](../examples/webcam_to_virtual_camera.py),
[FaceStates of your own to WebRTC](../examples/face_states_to_webrtc.py),
[many avatars on one engine](../examples/many_avatars.py).

## What holds for all of it

All of this is a name of `avatar`, imported when it is used, and fully typed. What is not on this page may change in any
version. Pictures are uint8 RGB arrays, (height, width, 3); times end in `_ns` or `_s`. What a person can mend is a
`VisavisError`, whose message says how.
"""
SECTIONS = {
    "Avatars": ("enroll", "EnrolmentOptions", "Statement", "load", "avatars", "Avatar"),
    "Driving": (
        "Puppet",
        "LiveOptions",
        "LabelStyle",
        "Background",
        "EngineOptions",
        "open_shared_engine",
        "FaceState",
        "no_face",
    ),
    "Where pictures come from": ("open_camera", "Frame", "NoPicture", "VideoFile", "read_motion", "load_photo"),
    "Where they go": ("open_publisher", "VideoWriter"),
    "Errors": ("VisavisError", "UsageError", "InputError", "DeviceError"),
}
GIVEN = (Camera, Motion, Publisher)  # by these functions; not names of `avatar`


def page() -> str:
    documented = [name for names in SECTIONS.values() for name in names]
    assert sorted(documented) == sorted(avatar.__all__), "SECTIONS here and avatar.__all__ name different things"
    parts = [HEAD]
    for title, names in SECTIONS.items():
        parts += [f"## {title}\n", *(entry(getattr(avatar, name)) for name in names)]
    parts += ["## What these functions give\n", *map(entry, GIVEN)]
    return "\n".join(parts)


def entry(thing: Callable[..., object]) -> str:
    """The signature and docstring of a class or function, then those of its public methods."""
    source = dedent(inspect.getsource(thing))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    shown = [node, *(method for method in methods(node) if not method.name.startswith("_"))]
    parts = [part for each in shown for part in (fenced(signature(each, source.splitlines())), *prose(each))]
    return "\n\n".join([f"### {node.name}", *parts]) + "\n"


def methods(node: ast.ClassDef | ast.FunctionDef) -> Iterator[ast.FunctionDef]:
    if isinstance(node, ast.ClassDef):
        yield from (part for part in node.body if isinstance(part, ast.FunctionDef))


def signature(node: ast.ClassDef | ast.FunctionDef, lines: list[str]) -> str:
    """As it stands in the source, where comments name shapes; of a class, its __init__'s or its fields."""
    if isinstance(node, ast.FunctionDef):
        start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
        head = "\n".join(lines[start - 1 : max(node.lineno, node.body[0].lineno - 1)])
        return re.sub(r":( \.\.\.)?$", "", dedent(head))
    for method in methods(node):
        if method.name == "__init__":
            called = signature(method, lines).replace("def __init__(", f"{node.name}(").removesuffix(" -> None")
            return re.sub(r"\(\s*self(,\s*|(?=\)))", lambda self: "(\n    " if "\n" in self[0] else "(", called)
    bases = ", ".join(map(ast.unparse, node.bases))
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    body = lines[fields[0].lineno - 1 : fields[-1].end_lineno] if fields else []
    return "\n".join([f"class {node.name}" + f"({bases})" * bool(bases) + ":" * bool(body), *body])


def prose(node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    """The docstring's paragraphs."""
    paragraphs = re.split(r"\n\n+", ast.get_docstring(node) or "")
    return [fenced(part) if part.startswith(">>>") else part for part in paragraphs if part]


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != page():
        print("docs/API.md is not what the docstrings say. Write it anew: python scripts/api_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What goes between a caged tracker and its owner: numbers of fixed size and lines of text, never objects.

The owner writes a picture into the shared memory and a REQUEST into a pipe; the cage writes a reply into the memory and
rings with one byte. The owner believes no reply: a cage that was broken into must not get further by it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.plain_text import plain_text
from avatar.face.state import BLENDSHAPE_NAMES, DESCRIPTOR_SIZE, LANDMARK_COUNT, FaceState, no_face
from avatar.tracking.frame_memory import FrameMemory

# serial number, capture_ns, height, width, what the pictures before mean to this one, size of the memory, its address
REQUEST = struct.Struct("<QqIIIQ64s")
MATTE_HEADER = struct.Struct("<II")  # number and side of the portraits that follow
MOST_FACES = 16  # of one picture
# GOES_ON: it follows them. STARTS_ANEW: as if there had been none. ALONE: as in image mode, between the others
GOES_ON, STARTS_ANEW, ALONE = 0, 1, 2
STARTED, TRACKED, FAILED = b"s", b"t", b"f"  # a byte that rings; FAILED: the reason lies in the memory
REPLY = np.dtype(
    [
        ("serial", "<u8"),  # the request's
        ("faces", "<u4"),
        ("found", "<u4"),
        ("confidence", "<f4"),
        ("covered", "<f4"),
        ("landmarks", "<f4", (LANDMARK_COUNT, 3)),
        ("blendshapes", "<f4", (len(BLENDSHAPE_NAMES),)),
        ("pose", "<f4", (4, 4)),
        ("others", "<f4", (MOST_FACES - 1, 2, 2)),  # low and high corners of the faces - 1 others
        ("descriptor", "<f4", (DESCRIPTOR_SIZE,)),  # all 0: the face was not described
    ]
)
TEXT_BYTES = 2000
FRAME_AT = 8192  # the picture follows the reply
MAX_FAR = 100.0  # landmarks, in longer sides of the picture
MAX_POSE = 1e5  # cm
MAX_DESCRIPTOR = 1.0  # its numbers have a length of 1.1 to 1.6 together
SLACK = 1e-3  # by which MediaPipe's own scores may leave [0, 1]
# A face has a size and a depth: the mean distances of its landmarks from their middle, along the face's longest axis in
# longer sides of the picture, and along its shortest in those of the longest. Faces of any size and turn, in pictures
# stretched sevenfold, stay above 0.027 and 0.034.
MIN_SIZE, MIN_DEPTH = 1e-3, 5e-3
MAX_SKEW = 1e-2  # by which a pose may fail to be a rotation
NO_BOXES: Array = np.zeros((0, 2, 2), np.float32)


class BadReplyError(Exception):
    """The cage answered what no tracker answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tracker saw in one picture: a face, and where the others are."""

    face: FaceState
    others: Array  # (face.faces - 1, 2, 2): their low and high corners, in pixels


def memory_size(height: int, width: int) -> int:
    return FRAME_AT + height * width * 3


def picture(memory: FrameMemory, height: int, width: int) -> NDArray[np.uint8]:
    """The (height, width, 3) view of the picture in the memory. Let go of it before the memory grows."""
    flat = np.frombuffer(memory.buffer, np.uint8, height * width * 3, FRAME_AT)
    return flat.reshape(height, width, 3)


def write_reply(memory: FrameMemory, serial: int, face: FaceState, others: Array) -> None:
    reply = np.zeros((), REPLY)
    reply["serial"], reply["faces"], reply["found"] = serial, face.faces, face.found
    if face.found:
        reply["confidence"], reply["landmarks"] = face.confidence, face.landmarks
        reply["covered"] = face.covered
        reply["blendshapes"], reply["pose"] = face.blendshapes, face.pose
        reply["others"][: len(others)] = others
        if face.descriptor is not None:
            reply["descriptor"] = face.descriptor
    memory.buffer[: REPLY.itemsize] = reply.tobytes()


def read_reply(memory: FrameMemory, serial: int, capture_ns: int, max_faces: int, longer_side_px: int) -> Answer:
    """Raises BadReplyError for what cannot be the answer to this picture."""
    copied = bytearray(memory.buffer[: REPLY.itemsize])  # first, so that nobody changes what was checked
    reply = np.frombuffer(copied, REPLY)[0]
    faces, found = int(reply["faces"]), int(reply["found"])
    if int(reply["serial"]) != serial or found not in (0, 1) or not found <= faces <= found * max_faces:
        raise BadReplyError("it answered another question")
    if not found:
        return Answer(no_face(capture_ns), NO_BOXES)
    landmarks, blendshapes, pose = reply["landmarks"], reply["blendshapes"], reply["pose"]
    confidence, covered = float(reply["confidence"]), float(reply["covered"])
    others, farthest, descriptor = reply["others"][: faces - 1], MAX_FAR * longer_side_px, reply["descriptor"]
    limits = (
        (landmarks, -farthest, farthest),
        (others, -farthest, farthest),
        (blendshapes, -SLACK, 1 + SLACK),
        (pose, -MAX_POSE, MAX_POSE),
        (confidence, 0.0, 1.0),
        (covered, 0.0, 1.0),
        (descriptor, -MAX_DESCRIPTOR, MAX_DESCRIPTOR),
    )
    # no number compares false, so it is refused too
    if not all(bool(np.all((low <= values) & (values <= high))) for values, low, high in limits):
        raise BadReplyError("it answered with impossible numbers")
    if not (_is_solid(landmarks, longer_side_px) and blendshapes.any() and _is_rigid(pose)):
        raise BadReplyError("it answered with what is no face")
    sides = others[:, 1] - others[:, 0]
    if not bool(np.all((sides.min(1) > 0) & (sides.max(1) >= MIN_SIZE * longer_side_px))):
        raise BadReplyError("it answered with a box that holds no face")
    face = FaceState(
        landmarks, blendshapes, pose, confidence, capture_ns, faces, longer_side_px, covered,
        descriptor if descriptor.any() else None,
    )  # fmt: skip
    return Answer(face, others)


def _is_solid(landmarks: Array, longer_side_px: int) -> bool:
    """Whether they are not all one point, on one line, or in one plane."""
    centred = landmarks.astype(np.float64) - landmarks.mean(0, dtype=np.float64)
    variances = np.linalg.eigvalsh(centred.T @ centred / len(centred)).clip(0)  # along the axes, the shortest first
    shortest, _, longest = np.sqrt(variances)
    return bool(longest >= MIN_SIZE * longer_side_px and shortest >= MIN_DEPTH * longest)


def _is_rigid(pose: Array) -> bool:
    """Whether it turns and moves, and neither scales nor mirrors."""
    turn = pose[:3, :3].astype(np.float64)
    skew = np.abs(turn.T @ turn - np.eye(3)).max()
    return bool(skew < MAX_SKEW and np.linalg.det(turn) > 0 and (pose[3] == (0, 0, 0, 1)).all())


def write_text(memory: FrameMemory, text: str) -> None:
    data = text.encode(errors="replace")[:TEXT_BYTES]
    memory.buffer[: 4 + len(data)] = struct.pack("<I", len(data)) + data


def read_text(memory: FrameMemory) -> str:
    (length,) = struct.unpack("<I", bytes(memory.buffer[:4]))
    text = bytes(memory.buffer[4 : 4 + min(length, TEXT_BYTES)]).decode(errors="replace")
    return plain_text(text, TEXT_BYTES)

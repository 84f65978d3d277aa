"""The face identity network says what dlib says, on every engine and in torch, and tells people apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.core.arrays import Picture
from avatar.core.errors import InputError
from avatar.core.model_files import model_file
from avatar.face.face_descriptor import ALIGNMENT, CHIP_PX, TEMPLATE_PX, chip, cosine, distance
from avatar.identity.face_identity import DIFFERENT_PEOPLE, FaceIdentity, open_face_identity
from avatar.tracking.caged_tracker import CagedTracker
from avatar.tracking.model_asset import tracker_model
from engines import available_backends, open_engine
from tests.portraits import astronaut, enlarged, resized

Landmarks = NDArray[np.float32]

# The five points of the astronaut's face in her (512, 512) picture, for tests that need no tracker
POINTS_PX = np.array([[255.3, 103.8], [236.4, 104.9], [195.3, 100.6], [213.6, 103.6], [223.5, 133.4]])


@pytest.fixture(scope="module")
def identity() -> Iterator[FaceIdentity]:
    with open_face_identity("onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def tracker() -> Iterator[CagedTracker]:
    with CagedTracker(tracker_model(), "image", patient=True) as opened:
        yield opened


def landmarks_at(points_px: NDArray[np.floating]) -> Landmarks:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[list(ALIGNMENT), :2] = points_px
    return landmarks


def face_chip() -> Picture:
    return chip(astronaut(), landmarks_at(POINTS_PX))


def test_aligned_points_come_to_lie_on_the_template() -> None:
    """A similarity of the template is undone exactly, whatever its turn, scale and shift."""
    turn = 1.7 * np.exp(0.4j)
    moved = TEMPLATE_PX @ [1, 1j] * turn + (150 + 90j)
    picture = np.zeros((600, 600, 3), np.uint8)
    for point in moved:
        at = np.rint([point.real - 0.5, point.imag - 0.5]).astype(int)
        picture[at[1] - 1 : at[1] + 2, at[0] - 1 : at[0] + 2] = 255
    aligned = chip(picture, landmarks_at(np.stack([moved.real, moved.imag], 1))).astype(float)[..., 0]
    rows, columns = np.mgrid[:CHIP_PX, :CHIP_PX] + 0.5
    for x, y in TEMPLATE_PX:
        near = aligned * (np.hypot(columns - x, rows - y) < 4)
        assert near.sum() > 0
        found = np.array([(columns * near).sum(), (rows * near).sum()]) / near.sum()
        np.testing.assert_allclose(found, [x, y], atol=0.5)


def test_alignment_is_that_of_dlib() -> None:
    dlib = pytest.importorskip("dlib", exc_type=ImportError)
    points = np.rint(POINTS_PX)
    shape = dlib.full_object_detection(
        dlib.rectangle(0, 0, 9, 9), dlib.points([dlib.point(*map(int, p)) for p in points])
    )
    expected = dlib.get_face_chip(astronaut(), shape, size=CHIP_PX, padding=0.25)
    ours = chip(astronaut(), landmarks_at(points + 0.5))  # dlib counts pixels from the centre of the first one
    assert np.abs(ours.astype(float) - expected).mean() < 3
    assert np.abs(np.roll(ours, 3, axis=1).astype(float) - expected).mean() > 6


def test_descriptors_are_those_of_dlib(identity: FaceIdentity) -> None:
    dlib = pytest.importorskip("dlib", exc_type=ImportError)
    pytest.importorskip("onnx")
    from export.face_identity import find_weights

    network = dlib.face_recognition_model_v1(str(find_weights()))
    for face in (face_chip(), face_chip()[:, ::-1].copy(), face_chip() // 2):
        expected = np.array(network.compute_face_descriptor(face))
        assert distance(identity.describe_chip(face), expected) < 0.02


def test_exact_weights_give_dlibs_descriptors(tmp_path: Path) -> None:
    dlib = pytest.importorskip("dlib", exc_type=ImportError)
    onnx = pytest.importorskip("onnx")
    from export.face_identity import build, find_weights, read_weights

    onnx.save(build(*read_weights(find_weights().read_bytes()), exact=True), tmp_path / "exact.onnx")
    expected = dlib.face_recognition_model_v1(str(find_weights())).compute_face_descriptor(face_chip())
    with FaceIdentity(open_engine(tmp_path / "exact.onnx", "onnxruntime", threads=1)) as exact:
        np.testing.assert_allclose(exact.describe_chip(face_chip()), np.array(expected), atol=1e-5)


def test_the_shipped_file_is_what_the_converter_writes(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from export.face_identity import MAX_ERROR, write

    assert write(tmp_path / "again.onnx") <= MAX_ERROR
    assert (tmp_path / "again.onnx").read_bytes() == model_file("identity/face_identity.onnx").read_bytes()


def test_the_converter_refuses_other_weights() -> None:
    pytest.importorskip("onnx")
    from avatar.core.errors import UsageError
    from export.face_identity import read_weights

    with pytest.raises(UsageError, match="SHA-256"):
        read_weights(b"not the weights")


@pytest.mark.skipif(available_backends()["openvino"] is not None, reason="OpenVINO is an extra")
def test_openvino_gives_the_same_descriptor(identity: FaceIdentity) -> None:
    with open_face_identity("openvino", threads=1) as other:
        assert distance(identity.describe_chip(face_chip()), other.describe_chip(face_chip())) < 1e-3


def test_one_face_is_near_itself_and_far_from_what_is_none(identity: FaceIdentity, tracker: CagedTracker) -> None:
    """At other sizes, mirrored and darker, the face stays far below the limit; the wall of the shuttle is above it."""
    face = identity.descriptor(astronaut(), landmarks := tracker.track(astronaut(), 0).landmarks)
    assert distance(face, face) == 0.0 and cosine(face, face) == pytest.approx(1.0)
    for picture in (enlarged(3), resized(astronaut(), 0.6), astronaut()[:, ::-1].copy(), astronaut() // 2):
        again = identity.descriptor(picture, tracker.track(picture, 0).landmarks)
        assert distance(face, again) < 0.35
    assert distance(face, identity.descriptor(astronaut()[::-1].copy(), landmarks)) > DIFFERENT_PEOPLE


def test_landmarks_that_form_no_face_are_refused() -> None:
    with pytest.raises(InputError, match="478"):
        chip(astronaut(), np.zeros((0, 3), np.float32))
    with pytest.raises(InputError, match="478"):
        chip(astronaut(), np.full((478, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="one point"):
        chip(astronaut(), np.zeros((478, 3), np.float32))


def test_torch_says_the_same_and_passes_gradients(identity: FaceIdentity) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from avatar.learning.face_identity_net import FaceIdentityNet, align

    net = FaceIdentityNet().train()
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    picture = torch.from_numpy(astronaut().transpose(2, 0, 1)[None] / 255.0).float().requires_grad_()
    points = torch.from_numpy(landmarks_at(POINTS_PX)[None] / 512)
    aligned = align(picture, points)
    assert aligned.shape == (1, 3, CHIP_PX, CHIP_PX)
    assert (aligned[0].permute(1, 2, 0) * 255 - torch.from_numpy(face_chip()).float()).abs().mean() < 1.0
    same = net(torch.from_numpy(face_chip().transpose(2, 0, 1)[None] / 255.0).float())[0]
    np.testing.assert_allclose(same.numpy(), identity.describe_chip(face_chip()), atol=1e-4)
    assert [tuple(f.shape[1:]) for f in net.features(aligned)] == [(32, 35, 35), (64, 17, 17), (128, 8, 8), (256, 4, 4)]
    net(aligned).square().sum().backward()
    gradient = picture.grad.abs().sum(1)[0]
    assert gradient[60:180, 170:280].sum() > 0.5 * gradient.sum() > 0
    with pytest.raises(ValueError, match="aligned"):
        net(picture)


def test_torch_aligns_each_picture_of_a_batch_and_shrinks_large_ones() -> None:
    torch = pytest.importorskip("torch")
    from avatar.learning.face_identity_net import align

    large = enlarged(4.0)
    moved = np.roll(large, (40, -24), axis=(0, 1))
    pictures = torch.from_numpy(np.stack([large, moved]).transpose(0, 3, 1, 2) / 255.0).float()
    points = np.stack([landmarks_at(POINTS_PX / 512), landmarks_at(POINTS_PX / 512 + np.array([-24, 40]) / 2048)])
    first, second = align(pictures, torch.from_numpy(points))
    assert (first - second).abs().mean() < 0.005
    expected = torch.from_numpy(chip(large, landmarks_at(4 * POINTS_PX)).astype(np.float32) / 255)
    assert (first.permute(1, 2, 0) - expected).abs().mean() < 0.02

"""The renderer: at rest the portrait; a background that never moves, a person that turns and opens the mouth."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from avatar.core.arrays import Array, Picture
from avatar.core.avatar import Avatar
from avatar.face.driving import Driving
from avatar.face.face_model import face_model
from avatar.face.head_pose import head_pose
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.identity.mattes import with_mattes
from avatar.live.latency import LatencyRecorder
from avatar.live.live_report import STAGES
from avatar.live.options import LiveOptions
from avatar.live.session import open_rig
from avatar.live.timed_engine import TimedEngine
from avatar.model.layered_generator import EYE, FACE, MOUTH, LayeredGenerator, RegionGenerator
from avatar.render.drawn_person import DrawnPerson, fade
from avatar.render.engine_options import EngineOptions
from avatar.render.layered_network import example_inputs, is_layered
from avatar.render.layered_renderer import LayeredRenderer
from avatar.render.painter import open_painter
from avatar.render.rasteriser import Drawn
from avatar.retarget.head_limits import moved
from engines.engine import Engine
from engines.torch import TorchEngine
from tests.clips import astronaut_avatar

SIZE_PX = 256


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = EngineOptions("onnxruntime", "fp32").open(astronaut_avatar())
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return with_mattes(astronaut_avatar())


@pytest.fixture
def renderer(engine: Engine, avatar: Avatar) -> LayeredRenderer:
    return LayeredRenderer(avatar, engine, SIZE_PX)


def driven(avatar: Avatar, change: tuple[float, ...] = (0,) * 7, **scores: float) -> Driving:
    """The avatar's portrait after a change of pose, as of `moved`, and of blendshapes."""
    model = face_model()
    pose = head_pose(avatar.landmarks[0], model.mean_shape)
    weights = np.zeros(len(model.expression_basis), np.float32)
    for name, value in scores.items():
        weights[BLENDSHAPE_INDEX[name]] = value
    shape = pose.remove(avatar.landmarks[0]) + model.expression(weights)
    return Driving(moved(pose, np.array(change, np.float32)).apply(shape), 0)


def reduced(portrait: Picture) -> Array:
    return np.asarray(portrait.reshape(SIZE_PX, 2, SIZE_PX, 2, 3).mean((1, 3)), np.float32)


def test_at_rest_the_portrait_shows(renderer: LayeredRenderer, avatar: Avatar) -> None:
    drawn = renderer.render(driven(avatar)).astype(np.float32)
    assert np.abs(drawn - reduced(avatar.portraits[0])).mean() < 4


def test_the_face_is_mended_where_a_turn_stretches_it(avatar: Avatar) -> None:
    torch.manual_seed(1)
    networks = [RegionGenerator(region) for region in (MOUTH, EYE, FACE)]
    bias = networks[2].net.head.bias
    assert bias is not None
    bias.data[5:9] = 9.0  # it paints wherever it may
    renderers = []
    for generator in (LayeredGenerator(networks[:2]), LayeredGenerator(networks)):
        fed = {name: value.numpy() for name, value in generator.example().items()}
        renderers.append(LayeredRenderer(avatar, TorchEngine(generator, fed, generator.outputs, threads=1), SIZE_PX))
    plain, mending = renderers
    np.testing.assert_array_equal(mending.render(driven(avatar)), plain.render(driven(avatar)))
    turned = driven(avatar, (0, 0.5, 0, 0, 0, 0, 0))
    change = np.abs(mending.render(turned).astype(int) - plain.render(turned)).max(2)
    matte = mending.matte()
    assert matte is not None and (change > 20).mean() > 0.01
    rim = np.ones((9, 9), np.uint8)  # 4 of 256 pixels
    assert not change[cv2.dilate(matte, rim) == 0].any()


def test_the_background_stays_when_the_head_turns(renderer: LayeredRenderer, avatar: Avatar) -> None:
    pictures, people = [], []
    for yaw in (-0.4, 0.0, 0.4):
        pictures.append(renderer.render(driven(avatar, (0, yaw, 0, 0, 0, 0, 0))))
        matte = renderer.matte()
        assert matte is not None
        people.append(matte > 0)
    rim = np.ones((9, 9), np.uint8)  # in which a face is mended, of 256 pixels
    nobody = cv2.dilate(np.any(people, axis=0).astype(np.uint8), rim) == 0
    assert nobody.mean() > 0.1
    assert np.ptp(np.stack(pictures)[:, nobody].astype(int), axis=0).max() == 0


def test_a_turned_head_is_another_picture_and_a_whole_one(renderer: LayeredRenderer, avatar: Avatar) -> None:
    ahead, aside = (renderer.render(driven(avatar, (0, yaw, 0, 0, 0, 0, 0))).astype(int) for yaw in (0.0, 0.45))
    assert np.abs(ahead - aside).mean() > 3
    matte = renderer.matte()
    assert matte is not None and 0.25 < (matte > 127).mean() < 0.8


def test_a_jaw_that_falls_shows_the_inside_of_the_mouth(renderer: LayeredRenderer, avatar: Avatar) -> None:
    wide = driven(avatar, jawOpen=0.8)
    picture = renderer.render(wide)
    x, y = (wide.landmarks[[13, 14], :2].mean(0) * SIZE_PX).astype(int)
    inside = picture[y - 1 : y + 2, x - 1 : x + 2].mean()
    cheek = picture[int(wide.landmarks[50, 1] * SIZE_PX), int(wide.landmarks[50, 0] * SIZE_PX)].mean()
    assert inside < 0.7 * cheek


def test_without_mattes_the_picture_is_whole(engine: Engine) -> None:
    avatar = astronaut_avatar()
    drawn = LayeredRenderer(avatar, engine, SIZE_PX).render(driven(avatar)).astype(np.float32)
    assert np.abs(drawn - reduced(avatar.portraits[0])).mean() < 8


def test_another_portrait_fades_in(engine: Engine, avatar: Avatar) -> None:
    """The second is the first one in blue, which is taken for its turned head."""
    one = avatar
    turned = driven(one, (0, 0.5, 0, 0, 0, 0, 0)).landmarks
    blue = np.stack([one.portraits[0], np.full_like(one.portraits[0], (0, 0, 255))])
    two = replace(
        one,
        portraits=blue,
        landmarks=np.stack([one.landmarks[0], turned]),
        blendshapes=np.repeat(one.blendshapes, 2, 0),
        mattes=np.repeat(one.mattes, 2, 0),
    )
    renderer = LayeredRenderer(two, engine, SIZE_PX, patient=True)
    shares = []
    for landmarks, at_ms in ((one.landmarks[0], 0), (turned, 33), (turned, 100), (turned, 400)):
        picture = renderer.render(Driving(landmarks, at_ms * 1_000_000)).astype(float)
        shares.append(picture[..., 2].mean() / picture.mean())
    assert shares == sorted(shares) and shares[1] < 0.9 * shares[3]


@pytest.mark.parametrize(
    ("share", "inside", "outline"), [(0.3, 60, 0), (0.4, 80, 40), (0.5, 100, 100), (0.7, 140, 200)]
)
def test_while_a_portrait_fades_in_its_outline_is_no_ghost(share: float, inside: int, outline: int) -> None:
    """Both cover the first column, the new one alone the second, whose background is black."""
    alpha, before = np.array([[255, 255]], np.uint8), np.array([[255, 0]], np.uint8)
    seen = Drawn(*(np.zeros((1, 2), np.float32),) * 2, alpha)
    person = DrawnPerson(np.full((1, 2, 3), 200, np.uint8), alpha, seen, [])
    former = DrawnPerson(np.zeros((1, 2, 3), np.uint8), before, seen, [])
    fade(person, former, share)
    np.testing.assert_allclose(person.picture[0, :, 0], (inside, outline), atol=2)


def test_the_engine_says_which_renderer_draws(engine: Engine, avatar: Avatar) -> None:
    assert is_layered(engine)
    assert isinstance(open_painter(avatar, engine, SIZE_PX), LayeredRenderer)
    assert {name: value.shape for name, value in example_inputs().items()} == {
        name: tuple(shape) for name, shape in engine.inputs.items()
    }


def test_an_avatar_whose_own_weights_are_of_no_use_is_told() -> None:
    tuned = replace(astronaut_avatar(), provenance={"fine_tuned": {"steps": 9}})
    said: list[str] = []
    EngineOptions("onnxruntime", "fp32").open(tuned, said.append).close()
    assert "astronaut was fine-tuned for another network" in said[0] and "visavis finetune astronaut" in said[0]


def test_another_size_of_the_picture_takes_the_portraits_that_are_ready(engine: Engine, avatar: Avatar) -> None:
    large = LayeredRenderer(avatar, engine, SIZE_PX)
    small = open_painter(avatar, engine, SIZE_PX // 2, beside=large)
    assert isinstance(small, LayeredRenderer) and small.sheets is large.sheets
    alone = LayeredRenderer(avatar, engine, SIZE_PX // 2)
    wide = driven(avatar, jawOpen=0.5)
    np.testing.assert_array_equal(small.render(wide), alone.render(wide))


def test_another_engine_takes_the_portraits_that_are_ready(engine: Engine, avatar: Avatar) -> None:
    rig = open_rig(avatar, engine, LiveOptions(), LatencyRecorder(STAGES))
    (before,) = rig.renderers.values()
    rig.take_engine(TimedEngine(engine, rig.latency))
    (after,) = rig.renderers.values()
    assert isinstance(before, LayeredRenderer) and isinstance(after, LayeredRenderer)
    assert after is not before and after.sheets is before.sheets

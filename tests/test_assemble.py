"""What the live loop draws from the generator's layers is what training drew with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.core.model_files import model_file
from avatar.face.driving import Driving
from avatar.model.blocks import sample, upsample
from avatar.model.checkpoint import load_weights
from avatar.model.generator import Conditioning, LayerGenerator
from avatar.model.generator import flow_stretch as stretch_in_training
from avatar.render.assemble import REGIONS, Assembler, assemble, flow_stretch, generator_inputs, texture_at
from avatar.render.generator import open_generator
from avatar.render.renderer import Renderer
from export.example import example_inputs, layer_inputs
from tests.clips import astronaut_avatar

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], np.float32)
FAR = np.array([[1.0, 0.0, 9.0], [0.0, 1.0, 0.0]], np.float32)


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean()))


def standing_still(size: int) -> NDArray[np.float32]:
    centres = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    return np.stack(np.meshgrid(centres, centres))


def flat_layers(keep: float, added: float) -> dict[str, NDArray[np.float32]]:
    """Nothing moves; everywhere the same share is kept and the same grey is added."""
    layers = {}
    for name, ahead in (("face", ()), ("mouth", ()), ("eyes", (2,))):
        layers[f"{name}_offset"] = np.zeros((*ahead, 2, 16, 16), np.float32)
        layers[f"{name}_keep"] = np.full((*ahead, 1, 32, 32), keep, np.float32)
        layers[f"{name}_added"] = np.full((*ahead, 3, 32, 32), added, np.float32)
    return layers


def places(mouth: NDArray[np.float32], eyes: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Mouth and eyes at these places of the picture; everything comes from where it goes."""
    still = standing_still(16)
    flows = {"face_flow": still, "mouth_flow": still, "eyes_flow": np.stack([still, still])}
    return {**flows, "mouth_paste": mouth, "eyes_paste": np.stack([eyes, eyes])}


def test_at_the_size_of_training_it_is_the_picture_of_training() -> None:
    """Torch with its warps inside of the graph, against the layers put together by OpenCV."""
    portrait = (example_inputs(load_weights(model_file("fast/fast.safetensors"))[0].config)["source"][0] * 255).round()
    generator, _, _ = load_weights(model_file("fast/fast.safetensors"))
    fed = example_inputs(generator.config)
    frame = {name: value[0].numpy() for name, value in fed.items()}
    fed |= dict.fromkeys(("source", "mouth_source", "eyes_source"), portrait[None] / 255)
    picture = portrait.permute(1, 2, 0).numpy().astype(np.uint8)
    given = {"psi": layer_inputs(generator)["psi"]}
    seen = generator_inputs(frame, dict.fromkeys(REGIONS, picture))
    given |= {name: torch.from_numpy(value) for name, value in seen.items()}
    live = LayerGenerator(generator.config)
    live.load_state_dict(generator.state_dict())
    with torch.no_grad():
        whole = generator(given["psi"], Conditioning.of(fed))
        layers = live(*given.values())
    drawn = {name: part[0].numpy() for name, part in zip(REGIONS, whole, strict=True)}
    trained = assemble(drawn, frame)
    named = {name: layer[0].numpy() for name, layer in zip(LayerGenerator.OUTPUTS, layers, strict=True)}
    found = Assembler(256).assemble(named, dict.fromkeys(REGIONS, picture), frame)
    assert psnr(found, trained) > 40


def test_the_generator_sees_what_it_saw_in_training() -> None:
    fed = example_inputs(load_weights(model_file("fast/fast.safetensors"))[0].config)
    picture = (fed["source"][0] * 255).round().to(torch.uint8)
    wanted = sample(picture[None] / 255, upsample(fed["mouth_flow"], 2))[0].numpy()
    found = texture_at(picture.permute(1, 2, 0).contiguous().numpy(), fed["mouth_flow"][0].numpy())
    assert found.shape == (3, 64, 96) and np.abs(found - wanted).max() < 0.02


def test_stretch_is_what_it_was_in_training() -> None:
    fed = example_inputs(load_weights(model_file("fast/fast.safetensors"))[0].config)
    torn = np.random.default_rng(5).normal(0, 1, (2, 2, 16, 24)).astype(np.float32)  # both ends of what is clipped
    for flow in (fed["face_flow"].numpy(), fed["eyes_flow"][0].numpy(), torn):
        wanted = stretch_in_training(torch.from_numpy(flow)).numpy()
        assert np.allclose(flow_stretch(flow), wanted, atol=1e-4) and flow_stretch(flow).dtype == np.float32


def test_a_larger_output_is_the_same_picture_with_more_detail() -> None:
    avatar = astronaut_avatar()
    engine = open_generator(avatar, "onnxruntime", threads=1)
    driving = Driving(avatar.landmarks[0], 0)
    pictures = {size: Renderer(avatar, engine, size).render(driving) for size in (256, 512, 720)}
    engine.close()
    assert [picture.shape for picture in pictures.values()] == [(size, size, 3) for size in pictures]
    halved = pictures[512].reshape(256, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(halved - pictures[256]).mean() < 4
    sharpness = {size: np.abs(np.diff(pictures[size].astype(float), axis=1)).mean() for size in (256, 512)}
    assert sharpness[512] > 0.5 * sharpness[256]  # an enlargement of 256² would have half of it, blurred


def test_what_is_kept_and_what_is_added_go_everywhere_and_never_overflow() -> None:
    portraits = dict.fromkeys(REGIONS, np.full((64, 64, 3), 100, np.uint8))
    for keep, added, value in ((1.0, 0.0, 100), (0.5, 0.1, 76), (0.0, 1.2, 255), (0.5, -0.9, 0)):
        found = Assembler(64).assemble(flat_layers(keep, added), portraits, places(IDENTITY, IDENTITY))
        assert np.abs(found.astype(int) - value).max() <= 1


def test_regions_come_from_their_own_portraits_and_fade_out_at_their_border() -> None:
    portraits = {
        name: np.full((64, 64, 3), value, np.uint8) for name, value in (("face", 0), ("mouth", 200), ("eyes", 0))
    }
    half = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], np.float32)  # the middle half of the picture
    found = Assembler(64).assemble(flat_layers(1.0, 0.0), portraits, places(half, FAR))[..., 0]
    assert (found[28:36, 28:36] == 200).all() and not found[:15].any() and not found[:, :15].any()
    border = found[32, 16:32].astype(int)
    assert (np.diff(border) >= 0).all() and 0 < border[2] < 200


def test_pictures_are_the_callers_to_keep() -> None:
    assembler = Assembler(64)
    portraits = dict.fromkeys(REGIONS, np.full((64, 64, 3), 100, np.uint8))
    first = assembler.assemble(flat_layers(1.0, 0.0), portraits, places(IDENTITY, FAR))
    assembler.assemble(flat_layers(0.0, 0.0), portraits, places(IDENTITY, FAR))
    assert (first == 100).all()


def test_one_network_serves_two_persons_in_turn() -> None:
    one = astronaut_avatar()
    other = replace(one, portraits=255 - one.portraits)
    engine = open_generator(one, "onnxruntime", threads=1)
    driving = Driving(one.landmarks[0], 0)
    renderers = [Renderer(one, engine), Renderer(other, engine)]
    first = [renderer.render(driving) for renderer in renderers]
    again = [renderer.render(driving) for renderer in renderers]
    engine.close()
    assert psnr(first[0], first[1]) < 12
    assert all((a == b).all() for a, b in zip(first, again, strict=True))

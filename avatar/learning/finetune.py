"""Fine-tuning: the generator made one person's own, by adversarial steps on that person's K photos (paper, §3.3).

ψ starts at P·e and becomes a free parameter, D's w′ starts at w₀ + e; all of G, ψ, D and w′ are trained. What comes out
is compared with feed-forward on photos that were held out, and kept only if it is better.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avatar.core.arrays import Array
from avatar.core.avatar import Avatar
from avatar.core.errors import VisavisError
from avatar.core.model_files import model_file
from avatar.identity.face_identity import distance, open_face_identity
from avatar.learning.fast_losses import (
    LossWeights,
    discriminator_loss,
    discriminator_views,
    draw_regions,
    fooling_losses,
    picture_losses,
    region_targets,
)
from avatar.learning.losses import ContentNet
from avatar.learning.person_pairs import PersonPairs
from avatar.model.checkpoint import load_discriminators, load_weights
from avatar.model.generator import Generator
from avatar.render.assemble import assemble, to_bytes
from avatar.render.generator import GENERATOR, weight_names

BATCH = 4
CHECK_EVERY = 25
PATIENCE = 6  # checks without progress before it stops
PROGRESS = 0.002  # share by which a check must be better
MIN_PHOTOS = 5  # with fewer, none can be held out, and nothing else tells overfitting from learning
RATE_GENERATOR, RATE_PSI, RATE_DISCRIMINATORS = 1e-4, 3e-4, 2e-4
EMA = 0.97
MAY_LOSE = {"identity": 0.01, "sharpness": 0.1}  # L2 distance; share of the real picture's


@dataclass(frozen=True)
class Examination:
    """How a generator does on held-out pictures. Lower is better for the first two."""

    content: float  # relative distance of EfficientNet-Lite0's features: whole picture, mouth and eyes
    identity: float  # mean L2 distance of dlib's descriptors to the real picture's
    sharpness: float  # variance of the Laplacian over the face, relative to the real picture's


@dataclass(frozen=True)
class FineTuneReport:
    """What became of it. `avatar` is the one given unless `kept`."""

    avatar: Avatar
    kept: bool
    reason: str
    steps: int
    seconds: float
    held_out_photos: int
    feed_forward: Examination | None
    fine_tuned: Examination | None


def finetune(
    avatar: Avatar,
    *,
    minutes: float = 5.0,
    progress: Callable[[float, str], None] = lambda share, line: None,
    seed: int = 1,
) -> FineTuneReport:
    """Fine-tune on the avatar's own portraits for at most `minutes`; feed-forward avatars only.

    With fewer than MIN_PHOTOS nothing is done, and the report says so. `progress` is told the share done in [0, 1] and
    one line. Raises VisavisError when a loss is no number.
    """
    started = time.monotonic()
    if len(avatar.portraits) < MIN_PHOTOS:
        reason = f"fewer than {MIN_PHOTOS} photos leave none to tell learning from overfitting"
        return FineTuneReport(avatar, False, reason, 0, 0.0, 0, None, None)
    torch.manual_seed(seed)
    generator, _, _ = load_weights(model_file("fast/fast.safetensors"))
    tuning = _Tuning(avatar, generator, PersonPairs(avatar, held_out_photos(len(avatar.portraits)), seed))
    before = after = tuning.examine()
    best: tuple[dict[str, Tensor], Tensor] | None = None
    objection: str | None = "there was no time for enough steps to show anything"
    since_best = step = 0
    with ThreadPoolExecutor(1) as pool:  # the next batch is made while the present one is learned
        coming = pool.submit(tuning.pairs.batch, 0, BATCH)
        while (spent := time.monotonic() - started) < 60 * minutes * 0.97 and since_best < PATIENCE:
            batch, coming = coming.result(), pool.submit(tuning.pairs.batch, step + 1, BATCH)
            tuning.step(batch, step)
            step += 1
            if step % CHECK_EVERY == 0:
                found = tuning.examine()
                since_best += 1
                said = verdict(before, found)
                if best is None:
                    after, objection = found, said
                if said is None and (best is None or found.content < after.content * (1 - PROGRESS)):
                    best, after, since_best = tuning.snapshot(), found, 0
                line = f"step {step}: distance on held-out {found.content:.4f}, feed-forward {before.content:.4f}"
                progress(min(spent / (60 * minutes), 1.0), f"{line}; {said or 'better'}")
    result = avatar
    if best is not None:
        tuning.restore(best)
        tuned = {"steps": step, "seconds": round(time.monotonic() - started), "feed_forward": asdict(before)}
        provenance = avatar.provenance | {"fine_tuned": tuned | {"fine_tuned": asdict(after)}}
        result = replace(avatar, psi=tuning.person_psi(), weights=tuning.weights(), provenance=provenance)
    kept = best is not None
    reason = objection or "better than feed-forward on what was held out"
    seconds = time.monotonic() - started
    return FineTuneReport(result, kept, reason, step, seconds, len(tuning.pairs.held_out), before, after)


def held_out_photos(count: int) -> tuple[int, ...]:
    """Which of `count` photos examine the others' result: a quarter, at most six, never the reference portrait."""
    wanted = max(1, min(count // 4, 6))
    return tuple(int(i) for i in np.linspace(1, count - 1, wanted + 2).round().astype(int)[1:-1])


def verdict(before: Examination, after: Examination) -> str | None:
    """Why fine-tuning is not kept, or None."""
    if not after.content < before.content * (1 - PROGRESS):
        return f"the distance on what was held out did not fall ({before.content:.4f} to {after.content:.4f})"
    if after.identity > before.identity + MAY_LOSE["identity"]:
        return f"the likeness fell (distance {before.identity:.3f} to {after.identity:.3f})"
    if after.sharpness < before.sharpness - MAY_LOSE["sharpness"]:
        return f"the picture lost sharpness ({before.sharpness:.2f} to {after.sharpness:.2f} of the real one)"
    return None


class _Tuning:
    """Networks, optimisers and the moving average of one fine-tuning."""

    def __init__(self, avatar: Avatar, generator: Generator, pairs: PersonPairs) -> None:
        self.avatar, self.pairs = avatar, pairs
        self.generator = generator.train()
        self.psi = nn.Parameter(torch.from_numpy(avatar.psi)[None].clone())
        self.person = nn.Parameter(torch.from_numpy(avatar.embedding)[None].clone())  # w′ − w₀
        self.discriminators = load_discriminators(model_file("fast/judges.safetensors"))
        self.averaged, self.averaged_psi = deepcopy(generator).requires_grad_(False), self.psi.detach().clone()
        self.content, self.weights_of_losses = ContentNet(), LossWeights()
        self.optimiser = torch.optim.Adam(
            [{"params": generator.parameters(), "lr": RATE_GENERATOR}, {"params": [self.psi], "lr": RATE_PSI}],
            betas=(0.5, 0.99),
        )
        learned = [*self.discriminators[0].parameters(), *self.discriminators[1].parameters(), self.person]
        self.discriminator_optimiser = torch.optim.Adam(learned, RATE_DISCRIMINATORS, betas=(0.0, 0.99))
        self.examination = pairs.examination()

    def step(self, batch: dict[str, Tensor], number: int) -> None:
        count = len(batch["target"])
        regions = draw_regions(self.generator, batch, self.psi.expand(count, -1))
        targets = region_targets(batch)
        losses = picture_losses(regions, targets, batch, self.content, self.weights_of_losses)
        views = discriminator_views(regions, targets, batch)
        person = self.person.expand(count, -1)
        losses |= fooling_losses(self.discriminators, views, person.detach(), self.weights_of_losses)
        total = torch.stack(list(losses.values())).sum()
        if not math.isfinite(float(total.detach())):
            named = {name: float(value.detach()) for name, value in losses.items()}
            raise VisavisError(
                f"Fine-tuning step {number + 1}: a loss is no number ({named}). The avatar is unchanged."
            )
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([*self.generator.parameters(), self.psi], 5.0)
        self.optimiser.step()
        loss = discriminator_loss(self.discriminators, views, person)
        self.discriminator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimiser.step()
        decay = min(EMA, (number + 1) / (number + 5))
        with torch.no_grad():
            for kept, new in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
            self.averaged_psi.lerp_(self.psi, 1 - decay)

    @torch.no_grad()
    def content_distance(self) -> float:
        """On the examination's pictures: mean of the whole picture's, the mouth's and the eyes'."""
        batch = self.examination
        regions = draw_regions(self.averaged, batch, self.averaged_psi.expand(len(batch["target"]), -1))
        targets = region_targets(batch)
        return float(np.mean([float(self.content(r.picture, t)) for r, t in zip(regions, targets, strict=True)]))

    @torch.no_grad()
    def examine(self) -> Examination:
        batch = self.examination
        face, mouth, eyes = draw_regions(self.averaged, batch, self.averaged_psi.expand(len(batch["target"]), -1))
        eye_pictures = eyes.picture.unflatten(0, (-1, 2))
        apart, sharp = [], []
        with open_face_identity() as identity:
            for i, points in enumerate(batch["landmarks"].numpy()):
                drawn = {"face": face.picture[i], "mouth": mouth.picture[i], "eyes": eye_pictures[i]}
                pastes = {name: batch[name][i].numpy() for name in ("mouth_paste", "eyes_paste")}
                output = assemble({name: value.clamp(0, 1).numpy() for name, value in drawn.items()}, pastes)
                real = to_bytes(batch["target"][i].numpy())
                pixels = points * len(real)
                apart.append(distance(identity.descriptor(output, pixels), identity.descriptor(real, pixels)))
                sharp.append(_sharpness(output, pixels) / max(_sharpness(real, pixels), 1e-6))
        return Examination(self.content_distance(), float(np.mean(apart)), float(np.mean(sharp)))

    def snapshot(self) -> tuple[dict[str, Tensor], Tensor]:
        return {k: v.clone() for k, v in self.averaged.state_dict().items()}, self.averaged_psi.clone()

    def restore(self, kept: tuple[dict[str, Tensor], Tensor]) -> None:
        self.averaged.load_state_dict(kept[0])
        self.averaged_psi = kept[1]

    def person_psi(self) -> Array:
        return np.array(self.averaged_psi[0].numpy(), np.float32)

    def weights(self) -> Array:
        """The generator's learned tensors in the order of the exported network."""
        state = self.averaged.state_dict()
        flat = [state[name].flatten() for name in weight_names(model_file(GENERATOR))]
        return np.array(torch.cat(flat).numpy(), np.float32)


def _sharpness(picture: NDArray[np.uint8], landmarks: Array) -> float:
    low = np.clip(landmarks[:, :2].min(0), 0, len(picture) - 2).astype(int)
    high = np.clip(landmarks[:, :2].max(0), low + 2, len(picture)).astype(int)
    grey = cv2.cvtColor(picture[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())

"""Adversarial meta-training of `fast`: one process, exact resume, EMA, logs and sample sheets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from avatar.errors import VisavisError
from avatar.learning.dataset import FromStep, PairDataset
from avatar.learning.losses import ContentNet, feature_matching, hinge_discriminator, weighted_l1
from avatar.learning.pack import Pack
from avatar.learning.sheet import save_sheet
from avatar.model.blocks import sample
from avatar.model.checkpoint import build_networks, save_judges, save_weights
from avatar.model.config import ModelConfig
from avatar.model.discriminator import Discriminator, PersonVectors
from avatar.model.generator import Region

FED = ("face_flow", "face_drawing", "mouth_flow", "mouth_drawing", "eyes_flow", "eyes_drawing")
SOURCES = ("source", "mouth_source", "eyes_source")
FACE_PAINT_SHARE = 0.3  # the face's painted layer only fills in behind the head


@dataclass(frozen=True)
class TrainingOptions:
    """Weights are set so that no single term exceeds a third of the sum of losses at the start."""

    steps: int = 8000
    batch: int = 8
    seed: int = 1
    rate_generator: float = 5e-4
    rate_discriminator: float = 4e-4
    rate_final: float = 0.1  # of the first rate, reached by a cosine
    warm_up_steps: int = 100
    ema: float = 0.998
    weight_l1: float = 10.0
    weight_paint: float = 8.0
    weight_warped: float = 3.0
    weight_content: float = 2.0
    weight_adversarial: float = 0.15
    weight_feature_matching: float = 4.0
    weight_match: float = 0.5
    adversarial_from_step: int = 1000
    inside_weight: float = 4.0  # of mouth and eye interiors against their surroundings
    log_every: int = 20
    save_every: int = 250
    workers: int = 1
    first: int = 0


class Trainer:
    """Everything that one training run holds. `run` goes on from the newest checkpoint in `folder`."""

    def __init__(
        self,
        pack: Pack,
        folder: Path,
        config: ModelConfig,
        options: TrainingOptions,
        say: Callable[[str], None] = print,
    ) -> None:
        torch.manual_seed(options.seed)
        self.pack, self.folder, self.options, self.say = pack, folder, options, say
        self.generator, self.embedder = build_networks(config)
        self.face_judge, self.mouth_judge = Discriminator(config), Discriminator(config)
        self.people = PersonVectors(len(pack.identities), config)
        self.content = ContentNet()
        self.averaged_generator, self.averaged_embedder = deepcopy(self.generator), deepcopy(self.embedder)
        self.averaged = nn.ModuleList([self.averaged_generator, self.averaged_embedder]).requires_grad_(False)
        makers = nn.ModuleList([self.generator, self.embedder])
        judges = nn.ModuleList([self.face_judge, self.mouth_judge, self.people])
        self.makers, self.judges = makers.to(memory_format=torch.channels_last), judges  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(makers.parameters(), options.rate_generator, betas=(0.5, 0.99))
        self.judge_optimiser = torch.optim.Adam(judges.parameters(), options.rate_discriminator, betas=(0.0, 0.99))
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.pt").exists():
            self._resume()

    def run(self) -> None:
        """Train to the last step. Raises VisavisError when a loss is no number; the last checkpoint stays."""
        o = self.options
        loader = DataLoader(
            PairDataset(self.pack, o.seed),
            batch_size=o.batch,
            sampler=FromStep(self.step, o.steps, o.batch),
            num_workers=o.workers,
            prefetch_factor=3 if o.workers else None,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # its own: the start of a loader must not move the run's random numbers
        )
        log = (self.folder / "log.jsonl").open("a")
        sums: dict[str, float] = {}
        started, since = time.monotonic(), self.step
        with log:
            for batch in loader:
                figures = self._step(_to_float(batch))
                self.step += 1
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value
                if not math.isfinite(sum(figures.values())):
                    raise VisavisError(
                        f"Step {self.step}: a loss is no number ({figures}). The last good checkpoint is "
                        f"{self.folder / 'state.pt'}; train again with a lower rate to go on from it."
                    )
                if self.step % o.log_every == 0:
                    means = {name: round(value / o.log_every, 5) for name, value in sums.items()}
                    pace = (time.monotonic() - started) / (self.step - since)
                    log.write(json.dumps({"step": self.step, "seconds_per_step": round(pace, 3), **means}) + "\n")
                    log.flush()
                    self.say(f"step {self.step}/{o.steps}  {pace:.2f} s/step  " + _brief(means))
                    sums = {}
                if self.step % o.save_every == 0 or self.step == o.steps:
                    self.save(_to_float(batch))

    def _step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        o = self.options
        self._set_rates()
        adversarial = self.step >= o.adversarial_from_step
        embedding = self.embedder.embed(batch["source"], batch["source_drawing"])
        sources = {name: _as_stored(batch[name]) for name in SOURCES}
        regions = self.generator.regions(
            psi=self.embedder.psi(embedding), **sources, **{name: batch[name] for name in FED}
        )
        targets = self._targets(batch)
        losses = self._picture_losses(regions, targets, batch)
        views = self._judged(regions, targets, batch)
        if adversarial:
            person = self.people(batch["identity"])
            fooling, matching = [], []
            for judge, (fake, real, drawing) in zip((self.face_judge, self.mouth_judge), views, strict=True):
                scores, fake_features = judge(fake, drawing, person.detach())
                with torch.no_grad():
                    _, real_features = judge(real, drawing, person.detach())
                fooling.append(-scores.mean())
                matching.append(feature_matching(fake_features, real_features))
            losses["adversarial"] = o.weight_adversarial * torch.stack(fooling).mean()
            losses["feature_matching"] = o.weight_feature_matching * torch.stack(matching).mean()
            losses["match"] = o.weight_match * F.l1_loss(embedding, person.detach())
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.makers.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        figures = {name: float(value.detach()) for name, value in losses.items()}
        if adversarial:
            figures["discriminator"] = self._judge_step(views, batch["identity"], embedding.detach())
        return figures

    def _judge_step(self, views: list[tuple[Tensor, Tensor, Tensor]], identity: Tensor, embedding: Tensor) -> float:
        person = self.people(identity)
        losses = []
        for judge, (fake, real, drawing) in zip((self.face_judge, self.mouth_judge), views, strict=True):
            both, _ = judge(torch.cat([real, fake.detach()]), torch.cat([drawing] * 2), torch.cat([person] * 2))
            losses.append(hinge_discriminator(*both.chunk(2)))
        # the match loss draws both ways: E towards Wᵢ and Wᵢ towards E
        loss = torch.stack(losses).mean() + self.options.weight_match * F.l1_loss(person, embedding)
        self.judge_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.judge_optimiser.step()
        return float(loss.detach())

    def _targets(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """The target as each region sees it."""
        target = batch["target"]
        mouth = sample(target, _crop_places(batch["mouth_paste"], batch["mouth_drawing"]))
        eyes_drawing = batch["eyes_drawing"].flatten(0, 1)
        places = _crop_places(batch["eyes_paste"].flatten(0, 1), eyes_drawing)
        return [target, mouth, sample(target.repeat_interleave(2, dim=0), places)]

    def _picture_losses(
        self, regions: tuple[Region, Region, Region], targets: list[Tensor], batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        o = self.options
        drawings = [batch["face_drawing"], batch["mouth_drawing"], batch["eyes_drawing"].flatten(0, 1)]
        names, shares = ("face", "mouth", "eyes"), (1.0, 1.0, 0.7)
        losses: dict[str, Tensor] = {}
        for name, share, region, target, drawing in zip(names, shares, regions, targets, drawings, strict=True):
            small = F.avg_pool2d(target, 2) if name == "face" else target
            inside = torch.ones_like(drawing[:, :1])
            if name != "face":
                inside = 1.0 + o.inside_weight * drawing[:, :1]
            weight = F.interpolate(inside, size=target.shape[-2:]) if name == "face" else inside
            losses[f"{name}_l1"] = share * o.weight_l1 * weighted_l1(region.picture, target, weight)
            losses[f"{name}_warped"] = share * o.weight_warped * F.l1_loss(region.warped, target)
            paint_share = FACE_PAINT_SHARE if name == "face" else share
            losses[f"{name}_paint"] = paint_share * o.weight_paint * weighted_l1(region.paint, small, inside)
        face, mouth, _ = regions
        x, y = (int(v) for v in torch.randint(32, 97, (2,)))
        part = (..., slice(y, y + 128), slice(x, x + 128))
        losses["face_content"] = o.weight_content * self.content(face.picture[part], targets[0][part])
        losses["mouth_content"] = o.weight_content * self.content(mouth.picture, targets[1])
        return losses

    def _judged(
        self, regions: tuple[Region, Region, Region], targets: list[Tensor], batch: dict[str, Tensor]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(fake, real, drawing) for the face and for the mouth."""
        face, mouth, _ = regions
        return [
            (F.avg_pool2d(face.picture, 2), F.avg_pool2d(targets[0], 2), batch["face_drawing"]),
            (mouth.picture, targets[1], batch["mouth_drawing"]),
        ]

    def _set_rates(self) -> None:
        o = self.options
        progress = min((self.step - o.first) / max(o.steps - o.first, 1), 1.0)
        share = o.rate_final + (1 - o.rate_final) * 0.5 * (1 + math.cos(math.pi * progress))
        share *= min(1.0, (self.step - o.first + 1) / o.warm_up_steps)
        for optimiser, rate in ((self.optimiser, o.rate_generator), (self.judge_optimiser, o.rate_discriminator)):
            for group in optimiser.param_groups:
                group["lr"] = rate * share

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.options.ema, (self.step + 1) / (self.step + 10))
        for kept, new in zip(self.averaged.parameters(), self.makers.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    def save(self, batch: dict[str, Tensor]) -> None:
        """Checkpoint, shippable weights and a sheet of the last batch."""
        generator, embedder = self.averaged_generator, self.averaged_embedder
        about = {"step": self.step, "options": asdict(self.options), "people": len(self.pack.identities)}
        save_weights(self.folder / "fast.safetensors", generator, embedder, about)
        save_judges(self.folder / "judges.safetensors", self.face_judge, self.mouth_judge)
        save_sheet(self.folder / f"sheet_{self.step:06d}.png", generator, embedder, batch)
        state: dict[str, Any] = {"step": self.step, "makers": self.makers.state_dict()}
        state |= {"judges": self.judges.state_dict(), "averaged": self.averaged.state_dict()}
        state |= {"optimiser": self.optimiser.state_dict(), "judge_optimiser": self.judge_optimiser.state_dict()}
        state["random"] = torch.get_rng_state()
        beside = self.folder / "state.pt.part"  # a kill at any moment leaves a whole checkpoint
        torch.save(state, beside)
        beside.replace(self.folder / "state.pt")

    def _resume(self) -> None:
        state = torch.load(self.folder / "state.pt", weights_only=True)
        for name in ("makers", "judges", "averaged", "optimiser", "judge_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        self.step = state["step"]
        self.say(f"going on from step {self.step} in {self.folder}")


def _as_stored(picture: Tensor) -> Tensor:
    """Twice as large, as portraits are kept: sampled there, a texture loses less of its sharpness."""
    return F.interpolate(picture, scale_factor=2.0, mode="bicubic", align_corners=False).clamp(0.0, 1.0)


def _crop_places(to_crop: Tensor, drawing: Tensor) -> Tensor:
    """(B, 2, h, w) places in the picture of the pixels of a crop, from the (B, 2, 3) matrix picture → crop."""
    linear = torch.linalg.inv(to_crop[:, :, :2])
    back = torch.cat([linear, -linear @ to_crop[:, :, 2:]], dim=2)
    return F.affine_grid(back, list(drawing.shape), align_corners=False).permute(0, 3, 1, 2)


def _to_float(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() / 255 if value.dtype == torch.uint8 else value for name, value in batch.items()}


def _brief(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)

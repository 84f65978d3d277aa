"""Fine-tuning: the nets made one person's own, by adversarial steps on that person's K photos (paper, §3.3).

Generator and discriminator start as the training left them. ψ starts at P·e, the projection of the person's embedding,
and becomes a free parameter: the projection's offset. What comes out is compared with feed-forward on photos that were
held out, drawn as they are live, and kept only if it is better.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from avatar.core.avatar import FEWEST_TO_TUNE, Avatar
from avatar.core.errors import VisavisError
from avatar.learning.objective import NotFiniteError
from avatar.learning.person_crops import PersonCrops
from avatar.learning.person_examination import Examination, PersonExamination
from avatar.learning.person_nets import PersonNets
from avatar.render.layered_network import network_name

BATCH = 4  # faces
CHECK_EVERY = 10
PATIENCE = 6  # checks without progress before it stops
PROGRESS = 0.002  # share by which a check must be better
MANY_PHOTOS = 16  # more of them hardly help
MAY_LOSE = {"identity": 0.01, "sharpness": 0.1}  # L2 distance; share of the real picture's


@dataclass(frozen=True)
class FineTuneReport:
    """What became of it. `avatar` is the one given unless `kept`.

    Where it is not: advice, what to do, and longer_minutes, in which it may succeed; 0: more time would not help.
    """

    avatar: Avatar
    kept: bool
    reason: str
    advice: str
    longer_minutes: int
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

    With fewer than FEWEST_TO_TUNE portraits nothing is done, and the report says so. `progress` is told the share done
    in [0, 1] and one line. Raises VisavisError when a loss is no number.
    """
    started = time.monotonic()
    if len(avatar.portraits) < FEWEST_TO_TUNE:
        reason = f"fewer than {FEWEST_TO_TUNE} photos leave none to tell learning from overfitting"
        advice = f"Enrol {FEWEST_TO_TUNE} photos, or a selfie clip."
        return FineTuneReport(avatar, False, reason, advice, 0, 0, 0.0, 0, None, None)
    torch.manual_seed(seed)
    held_out = held_out_photos(len(avatar.portraits))
    crops, nets = PersonCrops(avatar, held_out, seed), PersonNets()
    examination = PersonExamination(avatar, crops.faces, held_out, nets.averaged)
    before = after = examination.result()
    best: dict[str, torch.Tensor] | None = None
    objection: str | None = "there was no time for enough steps to show anything"
    since_best = step = 0
    with ThreadPoolExecutor(1) as pool:  # the next batch is drawn while the present one is learned
        coming = pool.submit(crops.batch, 0, BATCH)
        while (spent := time.monotonic() - started) < 60 * minutes * 0.97 and since_best < PATIENCE:
            batch, coming = coming.result(), pool.submit(crops.batch, step + 1, BATCH)
            try:
                nets.step(batch, step)
            except NotFiniteError as error:
                raise VisavisError(f"Fine-tuning step {step + 1}: {error}. The avatar is unchanged.") from error
            step += 1
            if step % CHECK_EVERY == 0:
                found = examination.result()
                since_best += 1
                said = verdict(before, found)
                if best is None:
                    after, objection = found, said
                if said is None and (best is None or found.content < after.content * (1 - PROGRESS)):
                    best, after, objection, since_best = nets.snapshot(), found, None, 0
                line = f"step {step}: distance on held-out {found.content:.4f}, feed-forward {before.content:.4f}"
                progress(min(spent / (60 * minutes), 1.0), f"{line}; {said or 'better'}")
    result = avatar
    if best is not None:
        tuned = {"steps": step, "seconds": round(time.monotonic() - started), "feed_forward": asdict(before)}
        provenance = avatar.provenance | {"fine_tuned": tuned | {"fine_tuned": asdict(after)}}
        result = replace(avatar, weights=nets.weights(best), network=network_name(), provenance=provenance)
    reason = objection or "better than feed-forward on what was held out"
    out_of_time = best is None and since_best < PATIENCE
    return FineTuneReport(
        result,
        kept=best is not None,
        reason=reason,
        advice="" if best is not None else advice_after(out_of_time, len(avatar.portraits)),
        longer_minutes=2 * math.ceil(minutes) if out_of_time else 0,
        steps=step,
        seconds=time.monotonic() - started,
        held_out_photos=len(held_out),
        feed_forward=before,
        fine_tuned=after,
    )


def leave_a_core() -> None:
    """To what draws the crops, while torch learns from them: two that want the same core are many times slower."""
    torch.set_num_threads(max((os.cpu_count() or 1) - 1, 1))


def held_out_photos(count: int) -> tuple[int, ...]:
    """Which of `count` photos examine the others' result: a quarter, at most six, never the reference portrait."""
    wanted = max(1, min(count // 4, 6))
    return tuple(int(i) for i in np.linspace(1, count - 1, wanted + 2).round().astype(int)[1:-1])


def advice_after(out_of_time: bool, photos: int) -> str:
    """What may help where nothing was kept; photos: so many there were."""
    if out_of_time:
        return "It was still learning when its time was over: give it more."
    if photos < MANY_PHOTOS:
        return "More photos, or a selfie clip, give more to learn."
    return "It had learnt all that it could of these photos: the avatar is as good without it."


def verdict(before: Examination, after: Examination) -> str | None:
    """Why fine-tuning is not kept, or None."""
    if not after.content < before.content * (1 - PROGRESS):
        return f"the distance on what was held out did not fall ({before.content:.4f} to {after.content:.4f})"
    if after.identity > before.identity + MAY_LOSE["identity"]:
        return f"the likeness fell (distance {before.identity:.3f} to {after.identity:.3f})"
    if after.sharpness < before.sharpness - MAY_LOSE["sharpness"]:
        return f"the picture lost sharpness ({before.sharpness:.2f} to {after.sharpness:.2f} of the real one)"
    return None

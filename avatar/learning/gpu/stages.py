"""`python -m avatar.learning.gpu.stages STAGE`: what is run on a machine with a GPU, torch and no network.

See docs/TRAINING.md for the order, and `scripts/gpu/run.sh`, which finds folders and limits.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from avatar.core.errors import InputError, UsageError, VisavisError

SIZES = ("mouth", "eye", "full")
LIMITS_S = {"smoke": 60.0, **dict.fromkeys(SIZES, 480.0), "bench": 60.0, "fetch": 60.0, "join": 60.0}
BATCHES = {"mouth": 64, "eye": 64, "full": 16}  # where `smoke` has not chosen
MOST_BATCH = 512
CLOSING_S = 15.0  # of a stage's limit that saving and leaving may take


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        return _run(given)
    except VisavisError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/gpu/run.sh", description="Stages of a quarter of an hour on a GPU.")
    parser.add_argument("stage", choices=LIMITS_S)
    parser.add_argument("--freight", type=Path, default=Path("freight"), help="what `visavis dataset pack` wrote")
    parser.add_argument("--run", type=Path, default=Path("runs/gpu"), help="checkpoints, which stay on the machine")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu/out"), help="what comes back")
    parser.add_argument("--start", type=Path, help="folder with trained weights (default: those that are shipped)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, help="limit of the stage, all included")
    parser.add_argument("--batch", type=int, help="samples of a step (default: what `smoke` chose)")
    parser.add_argument("--workers", type=int, help="processes that make samples")
    parser.add_argument("--size", choices=SIZES, help="of `smoke` and `fetch`: that size alone")
    parser.add_argument(
        "--compile", choices=("auto", "yes", "no"), default="auto", help="auto: if `smoke` found it pays"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as in `visavis train`")
    parser.add_argument("--most", type=int, help="no more pictures than that of each split")
    parser.add_argument("--call", type=int, default=0, help="of `fetch`: which 60 MB, counted from 0")
    parser.add_argument("--tiny", action="store_true", help="networks of a rehearsal")
    parser.add_argument("--force", action="store_true", help="although the GPU has little memory")
    return parser


def _run(given: argparse.Namespace) -> int:
    began = time.monotonic()
    say = _say
    given.out.mkdir(parents=True, exist_ok=True)
    if given.stage in ("fetch", "join"):
        return _carry(given)
    import torch

    from avatar.learning.gpu.bench import bench
    from avatar.learning.gpu.freight import open_freight
    from avatar.learning.gpu.machine import device_of, split_out
    from avatar.learning.gpu.smoke import advised, smoke
    from avatar.learning.gpu.training import Plan, train
    from avatar.learning.objective import Objective

    size = given.size or (given.stage if given.stage in SIZES else SIZES[0])
    device = device_of(given.device, size, say, given.force)
    limit = given.seconds or LIMITS_S[given.stage]
    if given.stage == "bench":
        bench(device, limit - (time.monotonic() - began), given.out, given.tiny, say)
        return 0
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    cores = os.cpu_count() or 1
    workers = given.workers if given.workers is not None else max(cores - 2, 1)
    freight = open_freight(given.freight, threads=cores, most=given.most)
    for line in freight.lines:
        say(line)
    chosen, pays = advised(given.run, given.stage)
    batch = given.batch or (MOST_BATCH if given.stage == "smoke" else chosen or BATCHES[given.stage])
    ends = began + limit - min(CLOSING_S, limit / 4)
    plan = Plan(
        size, given.freight, given.run, given.out, device, ends, batch, workers, given.start, tuple(given.set),
        given.tiny,
    )  # fmt: skip
    if given.stage == "smoke":
        smoke(plan, freight, (given.size,) if given.size else SIZES, say)
        return 0

    def compiled(objective: Objective) -> None:
        if given.compile == "yes" or (given.compile == "auto" and pays):
            say("compiling networks: the first steps take longer")
            torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is, with a warning
            for network in objective.compilable():
                network.compile()

    trainer = train(plan, freight, say, compiled)
    say(f"{trainer.step} steps, {trainer.skipped} left out; the checkpoint is {plan.folder / 'state.pt'}")
    if given.stage == "full":
        calls = split_out(_weights(plan.folder), given.out, 0)
        say(f"its weights take {calls} calls: this one brings the first part; then fetch --size full --call 1 and on")
    say(f"back come {_listed(given.out)}")
    return 0


def _weights(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


def _carry(given: argparse.Namespace) -> int:
    """Large weights leave in parts, a few a call, and are put together where they arrive."""
    from avatar.learning.gpu.machine import join_parts, split_out

    if given.stage == "join":
        for path in join_parts(given.freight, given.out):
            _say(f"{path}, {path.stat().st_size / 1e6:.1f} MB")
        return 0
    if not given.size:
        raise UsageError("Say of which size: --size fast or --size full.")
    files = _weights(given.run / given.size)
    if not files:
        raise InputError(
            f"{given.run / given.size} holds no weights: nothing was trained on this machine, or it is another."
        )
    calls = split_out(files, given.out, given.call)
    _say(f"call {given.call} of 0 to {calls - 1}: {_listed(given.out)}")
    return 0


def _listed(out: Path) -> str:
    files = sorted(path for path in out.iterdir() if path.is_file())
    return ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in files) or "nothing"


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

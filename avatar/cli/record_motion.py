"""`visavis record-motion`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

WEBCAM_S = 60.0  # where nothing is said


def record_motion(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: NAME.motion.")],
    camera: Annotated[
        str,
        typer.Option(
            "--camera", "-c", help="A webcam's number, name, path or address, or a video, read frame by frame."
        ),
    ] = "0",
    seconds: Annotated[
        float | None,
        typer.Option(help="Stop after so many seconds (60; a video is read to its end).", min=0.5, show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the output if it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was recorded as JSON.")] = False,
) -> None:
    """Record how a face moves, to play it again: numbers only, no picture, no sound, no name. Ctrl-C ends and keeps.

    Kept of each frame: the time, the head's pose, 52 scores of the expression, and 478 points of a face. It is an
    average face that moves as yours did: the shape of your own is taken out before anything is written. How somebody
    moves may still be telling, so only the file's owner may read it.

    Example: visavis record-motion --camera 0 --output talk.motion --seconds 30

    Then: visavis live NAME --camera talk.motion --loop --to virtual-camera
    """
    from rich.progress import TimeElapsedColumn

    from avatar.cli.at_once import at_once
    from avatar.cli.offline import tracker_model_then_offline
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.terminal import Terminal, print_json
    from avatar.identity.clip_turn import turn_upright_by
    from avatar.live.record_motion import record_motion as record
    from avatar.sources.camera import PlayedFile, check_camera, open_camera
    from avatar.sources.motion import MAX_FRAMES, check_motion_output, write_motion
    from avatar.tracking.caged_tracker import CagedTracker

    with at_once() as check:
        check(lambda: check_motion_output(output, force))
        check(lambda: check_camera(camera))
    terminal = Terminal(stderr=True)
    model = tracker_model_then_offline(terminal, camera)
    source = open_camera(camera, real_time=False, say=terminal.note)
    file = isinstance(source, PlayedFile)
    if isinstance(source, PlayedFile):
        total_s = min(seconds or math.inf, source.video.duration_s) or None
    else:
        total_s = seconds = seconds or WEBCAM_S
    sigterm_as_ctrl_c()
    try:
        with (
            CagedTracker(model, "video", say=terminal.note, patient=file) as tracker,
            terminal.progress(TimeElapsedColumn()) as bar,
        ):
            if isinstance(source, PlayedFile) and (turned := turn_upright_by(source.video, tracker.image_mode)):
                terminal.note(f"Note: {turned}")
            task = bar.add_task("recording, Ctrl-C ends", total=total_s)
            recording = record(
                source,
                tracker,
                seconds,
                by_media_time=file,
                progress=lambda done_s: bar.update(task, completed=done_s),
            )
    finally:
        source.close()
    if isinstance(source, PlayedFile) and source.video.damage:
        terminal.note(f"Note: {source.video.damage}")
    motion = recording.motion
    if len(motion) == MAX_FRAMES:
        terminal.note(f"Note: stopped after {MAX_FRAMES} frames, the most that a recording holds.")
    wanted, output = output, write_motion(motion, output, "any" if force else None)
    if output != wanted:
        terminal.note(f"Note: {wanted} was written by somebody else meanwhile.")
    if as_json:
        figures = {"output": output, "frames": len(motion), "seconds": motion.duration_s, "fps": motion.fps}
        figures |= {"faceless": motion.faceless, "bytes": output.stat().st_size, "interrupted": recording.interrupted}
        print_json(figures)
        return
    Terminal().say(
        f"{output}: {len(motion)} frames in {motion.duration_s:.1f} s ({motion.fps:.1f} fps), "
        f"{motion.faceless} of them without a face; {output.stat().st_size / 1e6:.1f} MB of numbers, no picture"
    )

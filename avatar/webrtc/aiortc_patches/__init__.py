"""The one seam to the inside of aiortc and aioice: every private member of theirs that is used, is used here.

aiortc sends and receives by itself, and offers no hook for what a live call over bad networks needs. So

    install         changes modules of theirs for this whole process, once: `codecs`, `playout_delay`, `ice`
    PatchedSender   gives one sender congestion control (`sender`)
    patch_receiver  gives one receiver buffers that go by the clock (`receiver`, `jitter_buffers`, `decoder_queue`)

and nothing changes before one of these is called. `tests/test_aiortc_patches.py` names every private member, and fails
by that name when an update has removed it. UPSTREAM.md says why each patch exists, and what might go upstream.
"""

from __future__ import annotations

from avatar.webrtc.aiortc_patches import codecs, ice, playout_delay, sender


def install() -> None:
    """To be called before a connection is opened; `Peers` does. Calling it again changes nothing."""
    codecs.install()
    playout_delay.install()
    sender.install()
    ice.install()

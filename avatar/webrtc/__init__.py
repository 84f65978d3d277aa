"""WebRTC on aiortc, on one asyncio thread: `peers` answers offers with the avatar's picture (avatar_track, encoders)
and sound; `reception`, `redundancy` and `congestion` keep both well on bad networks. `whip` publishes to a server (RFC
9725), `whep` serves players, `whip_source` takes the driver's picture from OBS and the like.
"""

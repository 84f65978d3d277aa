"""WebRTC on aiortc, on one asyncio thread: `peers` answers offers with the avatar's picture (avatar_track) and sound.

`congestion` and `red` keep both well on bad networks; all that touches the inside of aiortc stands in `aiortc_patches`.
`whip` publishes to a server (RFC 9725), `http_sessions` serves players (WHEP), and `whip_source` takes the driver's
picture from OBS and the like.
"""

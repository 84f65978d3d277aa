"""Calls over WebRTC: the avatar out, a microphone or a browser's camera in. Built on aiortc, on one asyncio thread.

Every link is one-way. Whoever wants to see a person makes an offer that only receives, and the person's media source
answers it: visavis itself for an avatar (`peers`: avatar_track, sound, encoders), the browser for a guest without
visavis. So the avatar is encoded once per viewer and travels straight to the viewer's browser, which plays it; a
person's own browser sends only its microphone, and its camera where it drives, to that person's visavis over loopback.
A mesh of four is twelve one-way links, and a reconnect is one new offer.

`whip` publishes to a server instead (RFC 9725), `whep` serves players, `whip_source` takes the driver's picture from
OBS and the like; `room` passes the offers and answers on. `livekit` lends the avatar to an agent of LiveKit's, and is
built on their packages alone.
"""

"""A call: who is in the room (`room`), the server of its page (`server`), what hosts both (`hosting`), and all of that
with the live session that `visavis call` and its page start (`running_call`).

Every link is one-way. Whoever wants to see a person makes an offer that only receives, and the person's media source
answers it: visavis itself for an avatar, the browser for a guest without visavis. So the avatar is encoded once per
viewer and travels straight to the viewer's browser, which plays it; a person's own browser sends only its microphone,
and its camera where it drives, to that person's visavis over loopback. A mesh of four is twelve one-way links, and a
reconnect is one new offer.
"""

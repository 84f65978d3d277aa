"""All that touches the inside of aiortc and aioice stands here."""

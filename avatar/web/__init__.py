"""The local server of `visavis call`: `server` (what it offers), `server_safety` (whom it lets in), `server_tls`."""

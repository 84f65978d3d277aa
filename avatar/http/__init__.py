"""A small HTTP server that is safe in the open: connections, limits, TLS, and reading what strangers send."""

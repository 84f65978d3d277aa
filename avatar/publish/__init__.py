"""Where the avatar's pictures go: a virtual camera, a PipeWire camera, a file, a window. One interface, `publisher`."""

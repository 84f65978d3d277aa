"""Where the avatar's pictures go: a virtual camera, a file, a window. `factory.open_publisher` picks one by name."""

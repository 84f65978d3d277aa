"""What every picture is brought to, whether a photo or one of a video."""

MAX_SIDE_PX = 4096  # larger pictures are shrunk: a face needs no more
BACKGROUND = (128, 128, 128)  # behind transparent pixels: neither glare nor shadow at the hair

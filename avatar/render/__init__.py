"""From a `Driving` to a picture: warp, conditioning, the generator's engine, and putting its regions together."""

"""visavis: a talking head from a few photos, driven by a camera."""

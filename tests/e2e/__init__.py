"""Whole programs on real kernels, devices, browsers and peers."""

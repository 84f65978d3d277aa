"""The driver's face in a picture. MediaPipe runs in a confined process, `child`; everybody else has `caged_tracker`."""

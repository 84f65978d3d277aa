"""The driver's face in a picture. MediaPipe runs in a confined process, `cage`; everybody else has `caged_tracker`."""

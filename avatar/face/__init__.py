"""A face as numbers: the tracker's landmarks and scores, their regions, head pose, gaps, gaze, crop, the body below."""

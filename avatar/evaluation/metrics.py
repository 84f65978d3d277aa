"""What is measured, in words: the lines of every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avatar.evaluation import frechet

SLOW_METRIC_FRAMES = 16  # frames a clip for the network that takes 0.2 s and more a picture
PSNR_CAP_DB = 100.0  # equal pictures have none; this stands for it in means

EFFICIENTNET, VGG, IDENTITY = "EfficientNet-Lite0", "VGG16-HED", "dlib face recognition ResNet v1"
TRACKER = "MediaPipe FaceLandmarker"

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of a table."""

    key: str
    label: str
    unit: str
    better: Better
    definition: str
    network: str | None = None
    frames: int | None = None  # at most so many a clip, evenly spread; None for all


_MOUTH = "a crop of 96×64 around the real lips, 1.6 times their width, turned with them"

METRICS = (
    Metric("l1", "L1", "of 1", "lower", "mean absolute difference of the pixels"),
    Metric("psnr", "PSNR", "dB", "higher", f"peak signal-to-noise ratio over RGB, at most {PSNR_CAP_DB:.0f}"),
    Metric("ssim", "SSIM", "of 1", "higher", "structural similarity (Wang et al., 2004), 7×7 window, mean over RGB"),
    Metric(
        "feature_efficientnet_lite0", "Features EffNet-Lite0", "of 4", "lower",
        "squared difference of unit features at five depths, as in LPIPS without its learned weights; training uses "
        "features of this network too", EFFICIENTNET,
    ),
    Metric(
        "feature_vgg16_hed", "Features VGG16-HED", "of 4", "lower",
        "the same with VGG16 re-trained for edges, which training never sees", VGG, SLOW_METRIC_FRAMES,
    ),
    Metric("mouth_l1", "Mouth L1", "of 1", "lower", f"L1 in {_MOUTH}"),
    Metric("mouth_ssim", "Mouth SSIM", "of 1", "higher", "SSIM in the mouth's crop"),
    Metric(
        "mouth_feature_efficientnet_lite0", "Mouth features EffNet-Lite0", "of 4", "lower",
        "the distance of features in the mouth's crop", EFFICIENTNET,
    ),
    Metric(
        "mouth_feature_vgg16_hed", "Mouth features VGG16-HED", "of 4", "lower",
        "the distance of features in the mouth's crop", VGG,
    ),
    Metric("eyes_l1", "Eyes L1", "of 1", "lower", "L1 in a crop of 48×32 around each eye, 1.8 times the lids' width"),
    Metric(
        "csim", "CSIM dlib ResNet", "cosine", "higher",
        "cosine of the face descriptors of output and real picture; they are not centred, so it is high for different "
        "people too and does not compare with ArcFace's", IDENTITY,
    ),
    Metric(
        "identity_distance", "Identity dlib ResNet", "L2", "lower",
        "distance of the same descriptors; one person below about 0.6", IDENTITY,
    ),
    Metric("akd", "AKD", "px at 256", "lower", "mean distance of the landmarks, the output tracked again", TRACKER),
)  # fmt: skip

CROSS_METRICS = (
    Metric(
        "csim", "CSIM dlib ResNet", "cosine", "higher",
        "cosine of the output's face descriptor and the mean of the T source frames'; unmoved is one of them; real: "
        "the person's later frames",
        IDENTITY,
    ),
    Metric("identity_distance", "Identity dlib ResNet", "L2", "lower", "distance of the same descriptors", IDENTITY),
    Metric(
        "akd", "AKD", "px at 256", "lower", "mean distance of the landmarks, tracked again, from where they were sent",
        TRACKER,
    ),
)  # fmt: skip

FRECHET = Metric(
    frechet.NAME, frechet.NAME, "squared", "lower",
    f"Fréchet distance of EfficientNet-Lite0's pooled features between the outputs of all clips and real frames, in "
    f"{frechet.DIMENSION} dimensions (a fixed random projection of {frechet.FEATURES}), covariances shrunk by Ledoit "
    "and Wolf; not FID", EFFICIENTNET,
)  # fmt: skip

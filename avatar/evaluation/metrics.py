"""What is measured, in words: the lines of every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avatar.evaluation import frechet
from avatar.evaluation.folds import STRETCH
from avatar.evaluation.plate import RIM_PX
from avatar.evaluation.silhouette import RING_PX

SLOW_METRIC_FRAMES = 16  # frames a clip for the network that takes 0.2 s and more a picture
PSNR_CAP_DB = 100.0  # equal pictures have none; this stands for it in means

_NETWORKS = "efficientnet_lite0", "vgg16_hed"
EFFICIENTNET, VGG, IDENTITY = "EfficientNet-Lite0", "VGG16-HED", "dlib face recognition ResNet v1"
TRACKER, MATTE = "MediaPipe FaceLandmarker", "MediaPipe Selfie Segmentation"

Better = Literal["lower", "higher", "one"]  # "one": the nearer to 1, the better


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


_EYE = "a crop of 48×32 around each eye, 1.8 times the lids' width"
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
    Metric(
        "eyes_feature_efficientnet_lite0", "Eyes features EffNet-Lite0", "of 4", "lower",
        f"the distance of features in {_EYE}, twice enlarged, mean of both", EFFICIENTNET,
    ),
    Metric(
        "eyes_feature_vgg16_hed", "Eyes features VGG16-HED", "of 4", "lower",
        "the distance of features in the eyes' crops, twice enlarged", VGG,
    ),
    Metric(
        "face_feature_efficientnet_lite0", "Face features EffNet-Lite0", "of 4", "lower",
        "the distance of the whole pictures' features, mean over the places inside the real face's oval alone",
        EFFICIENTNET,
    ),
    Metric(
        "face_feature_vgg16_hed", "Face features VGG16-HED", "of 4", "lower",
        "the distance of the whole pictures' features inside the real face's oval", VGG, SLOW_METRIC_FRAMES,
    ),
    Metric(
        "silhouette_feature_efficientnet_lite0", "Silhouette features EffNet-Lite0", "of 4", "lower",
        f"the distance of the whole pictures' features, mean over the places within {RING_PX} pixels of the real "
        "person's outline", EFFICIENTNET,
    ),
    Metric(
        "silhouette_feature_vgg16_hed", "Silhouette features VGG16-HED", "of 4", "lower",
        f"the distance of the whole pictures' features within {RING_PX} pixels of the real person's outline", VGG,
        SLOW_METRIC_FRAMES,
    ),
    Metric("eyes_l1", "Eyes L1", "of 1", "lower", f"L1 in {_EYE}"),
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
    Metric(
        "fold", "Folded", "of 1", "lower",
        "share of the face's oval where the renderer's own flow turns the portrait over (det J < 0)",
    ),
    Metric(
        "stretch", "Stretched", "of 1", "lower",
        f"share of the oval where that flow stretches the portrait more than {STRETCH:g} times in some direction",
    ),
    Metric("matte_iou", "Matte IoU", "of 1", "higher", "overlap of the mattes of output and real picture", MATTE),
    Metric(
        "silhouette_sharpness", "Silhouette sharpness", "of real", "one",
        "ratio of the squared slope of brightness across the person's outline, output to real picture; less than 1: "
        "blurred", MATTE,
    ),
    Metric(
        "seam_mouth", "Seam of the mouth", "of 255", "lower",
        "step of the low frequencies across the border of the region in which the mouth is drawn, against the real "
        "picture's step there; what the layers alone have is error of place, not a seam",
    ),
    Metric("seam_eyes", "Seam of the eyes", "of 255", "lower", "step across the borders of the eyes' regions"),
    Metric(
        "plate", "Background's restlessness", "of 255", "lower",
        f"standard deviation in time of the pixels more than {RIM_PX} pixels away from the person, of all frames' "
        "mattes; real: what camera and compression do", MATTE,
    ),
    Metric(
        "shoulder_motion", "Shoulder motion error", "px at 256", "lower",
        "distance of the optical flow (DIS) below the chin, from one target to the next, from the real one; unmoved: "
        "how much there is to be followed",
    ),
    Metric(
        "flicker", "Flicker", "of real", "one",
        "ratio of the second difference in time inside the face's oval, output to real picture, of three frames that "
        "follow each other, at 6 moments; more than 1: restless",
    ),
)  # fmt: skip

YAW_METRICS = (  # what is shown by how far the head is turned, too
    *(f"{part}_feature_{name}" for part in ("face", "mouth", "eyes", "silhouette") for name in _NETWORKS),
    "matte_iou", "fold", "stretch",
)  # fmt: skip

STEADY_METRICS = (
    Metric(
        "tooth_change", "Teeth change their height", "of 1", "lower",
        "change of the upper row's height from jawOpen 0.2 to 0.9, by smiling photos; its size, mean of the photos",
    ),
    Metric("tooth_growth", "Teeth grow", "of 1", "lower", "the same with its sign: more than 0, stretched; less, lost"),
    Metric(
        "tooth_correlation", "Teeth are the photo's", "r", "higher",
        "correlation of the brightness with the photo's where that shows teeth, at jawOpen 0.9",
    ),
    Metric(
        "neck_spread", "Neck's length varies", "of 1", "lower",
        "standard deviation over mean while the driver moves, comes near and goes away, and the camera changes its "
        "size in mid-run; by marks painted on the portrait; mean of the people",
    ),
    Metric("neck_farthest", "Neck's length, farthest", "of 1", "lower", "its greatest change from rest, of all people"),
    Metric(
        "width_spread", "Head's width varies", "of 1", "lower",
        "standard deviation over mean of the width between the cheeks over the height from brow to chin, likewise",
    ),
    Metric(
        "marks_lost", "Marks lost", "pictures", "lower",
        "of the same, those in which a mark was not found: the neck's base has left the picture, or is painted over",
    ),
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

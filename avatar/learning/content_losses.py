"""The content loss of size `full` (paper, §3.2 and §4): distances in the features of two frozen networks.

The paper takes VGG19 and VGGFace; here they are EfficientNet-Lite0 and dlib's face recognition ResNet, whose weights
come in packages. The first features of EfficientNet have half the picture's side, where VGG's conv1_1 has all of it and
is close to the pixels themselves: a plain L1 of the pixels takes its place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.learning.face_identity_net import FaceIdentityNet, align
from avatar.learning.losses import ContentNet


class FullContent(nn.Module):
    """Three distances between a generated picture and the real one, each about 1 for pictures without relation."""

    def __init__(self, imagenet: ContentNet | None = None, identity: FaceIdentityNet | None = None) -> None:
        """None: with the weights that are installed."""
        super().__init__()
        self.imagenet, self.identity = imagenet or ContentNet(), identity or FaceIdentityNet()

    def forward(self, picture: Tensor, target: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """picture and target (B, 3, S, S) in [0, 1], landmarks (B, 478, 3) of the target in [0, 1]."""
        spread = (target - target.mean()).abs().mean().clamp_min(1e-3)
        return {
            "pixels": F.l1_loss(picture, target) / spread,
            "imagenet": self.imagenet(picture, target),
            "identity": self.identity_distance(picture, target, landmarks),
        }

    def identity_distance(self, picture: Tensor, target: Tensor, landmarks: Tensor) -> Tensor:
        """Mean relative L1 over the layers of the face network, for aligned faces."""
        with torch.no_grad():
            wanted = self.identity.features(align(target, landmarks))
        pairs = zip(self.identity.features(align(picture, landmarks)), wanted, strict=True)
        return torch.stack([F.l1_loss(a, b) / b.abs().mean().clamp_min(1e-4) for a, b in pairs]).mean()

"""D(x, y, i): the projection discriminator V(x, y)ᵀ(Wᵢ + w₀) + b (paper, §3.1 and §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.full.blocks import Residual, SelfAttention
from avatar.model.full.config import FullConfig
from avatar.model.full.embedder import down_layers


class FullDiscriminator(nn.Module):
    """Its convolutional part V is E's with one more residual block at 4×4: about 20 million parameters."""

    def __init__(self, config: FullConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList([*down_layers(config), Residual(config.embedding)])
        self.w0 = nn.Parameter(torch.randn(config.embedding) * 0.05)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, picture: Tensor, drawing: Tensor, person: Tensor) -> tuple[Tensor, list[Tensor]]:
        """picture and drawing (B, 3, S, S) in [0, 1], person Wᵢ (B, 512) to realism scores (B,) and the features
        after each residual block, for feature matching."""
        return self.score(picture, drawing, person + self.w0)

    def score(self, picture: Tensor, drawing: Tensor, w: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The same with the whole vector w = Wᵢ + w₀ given: w′ of one person (paper, §3.3)."""
        x = torch.cat([picture, drawing], dim=1) * 2 - 1
        features = []
        for layer in self.layers:
            x = layer(x)
            if not isinstance(layer, SelfAttention):
                features.append(x)
        score: Tensor = (F.relu(x.float().sum(dim=(2, 3))) * w).sum(1) + self.bias
        return score, features


class FullPersonVectors(nn.Module):
    """W: one learned vector for each training person.

    Wᵢ starts as the first ê that training sees of person i. From small random numbers, the match loss would draw every
    ê to nothing: people come by rarely, so early training has E follow W, and ReLU then lets units die.
    """

    known: Tensor

    def __init__(self, people: int, config: FullConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(people, config.embedding)
        nn.init.zeros_(self.table.weight)
        self.register_buffer("known", torch.zeros(people, dtype=torch.bool))

    @torch.no_grad()
    def meet(self, identity: Tensor, embedding: Tensor) -> None:
        """Start the vectors of people (B,) seen for the first time at their embeddings (B, 512)."""
        new = ~self.known[identity]
        self.table.weight[identity[new]] = embedding[new]
        self.known[identity] = True

    def forward(self, identity: Tensor) -> Tensor:
        """(B,) indices to (B, 512)."""
        vectors: Tensor = self.table(identity)
        return vectors

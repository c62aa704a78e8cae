"""VGGish: from log-mel patches of about one second to vectors of 128, and their 8-bit form.

Hershey et al. (ICASSP 2017). Parameters are named as the torchvggish port names them. The 8-bit form is made of the
rectified embeddings, as in that port; AudioSet's own code leaves the last rectifier out today.

Axes: N patch, F frame of the spectrogram (96), M mel band (64), D embedding (128).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from models.backbones.feature_network import FeatureNetwork
from models.backbones.random_weights import fill_he_normal
from models.shapes import require_shape

NUM_FRAMES = 96
NUM_BANDS = 64
EMBEDDING_FEATURES = 128

_GROUPS = ((64,), (128,), (256, 256), (512, 512))
"""Channels of the convolutions of each group; a group ends with 2 x 2 max pooling."""


class VGGish(FeatureNetwork):
    """The network, with the rectifier after its last layer: embeddings are never negative."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        num_channels = 1
        for group in _GROUPS:
            for group_channels in group:
                layers += [nn.Conv2d(num_channels, group_channels, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                num_channels = group_channels
            layers.append(nn.MaxPool2d(kernel_size=2))
        self.features = nn.Sequential(*layers)
        shrinking = 2 ** len(_GROUPS)
        num_flat = num_channels * (NUM_FRAMES // shrinking) * (NUM_BANDS // shrinking)
        self.embeddings = nn.Sequential(
            nn.Linear(num_flat, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, EMBEDDING_FEATURES),
            nn.ReLU(inplace=True),
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed log-mel patches (N, F, M) as vectors (N, D).

        Raises
        ------
        ValueError
            If the patches are not 96 frames of 64 bands.
        """
        require_shape("patches", patches, ("N", NUM_FRAMES, NUM_BANDS))
        maps = self.features(patches.unsqueeze(1))
        # The weights expect frames, then bands, then channels.
        embedded: torch.Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embedded

    def init_random(self, seed: int) -> None:
        """Give the network seeded random weights, see :func:`models.backbones.random_weights.fill_he_normal`."""
        fill_he_normal(self, seed)


class Postprocessor(nn.Module):
    """Rotate embeddings onto their principal components and round them to 8 bits, as AudioSet was released.

    The AVE features do without it: they are the embeddings themselves.

    Parameters
    ----------
    eigen_vectors : torch.Tensor, shape (D, D)
        One principal component per row.
    means : torch.Tensor, shape (D,) or (D, 1)
        Of the embeddings.

    Raises
    ------
    ValueError
        If a shape is another, or a value is not finite.
    """

    eigen_vectors: torch.Tensor
    means: torch.Tensor

    def __init__(self, eigen_vectors: torch.Tensor, means: torch.Tensor) -> None:
        super().__init__()
        require_shape("PCA eigen vectors", eigen_vectors, (EMBEDDING_FEATURES, EMBEDDING_FEATURES))
        require_shape("PCA means", means.flatten(), (EMBEDDING_FEATURES,))
        if not (torch.isfinite(eigen_vectors).all() and torch.isfinite(means).all()):
            raise ValueError("PCA parameters: expected finite numbers, found NaN or infinity")
        self.register_buffer("eigen_vectors", eigen_vectors)
        self.register_buffer("means", means.flatten())

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Turn embeddings (N, D) into levels (N, D) of dtype uint8."""
        return quantise(self.project(embeddings))

    @classmethod
    def from_state(cls, state: Mapping[str, torch.Tensor]) -> "Postprocessor":
        """Return the postprocessor of a published file: torchvggish's ``.pth`` or AudioSet's ``.npz``.

        Parameters
        ----------
        state : mapping of str to torch.Tensor
            ``pca_eigen_vectors`` and ``pca_means``; others are left aside.

        Raises
        ------
        ValueError
            If one is missing, or as the constructor.
        """
        if not {"pca_eigen_vectors", "pca_means"} <= set(state):
            found = ", ".join(sorted(state)) or "nothing"
            raise ValueError(f"PCA parameters: expected pca_eigen_vectors and pca_means, found {found}")
        return cls(state["pca_eigen_vectors"], state["pca_means"])

    @classmethod
    def random(cls, seed: int) -> "Postprocessor":
        """Return a seeded random rotation in place of principal components, float64, with zero means.

        Its rows are those of a Hadamard matrix, divided by sqrt(D), with random signs per column: orthonormal, and the
        same bits on every machine, which a matrix from a decomposition would not be.

        Raises
        ------
        ValueError
            If the seed is negative.
        """
        if seed < 0:
            raise ValueError(f"seed: expected at least 0, found {seed}")
        index = np.arange(EMBEDDING_FEATURES)
        hadamard = 1 - 2.0 * (np.bitwise_count(index[:, None] & index) % 2)
        signs = 1 - 2.0 * np.random.default_rng((seed, 1)).integers(0, 2, EMBEDDING_FEATURES)
        rotation = hadamard * signs / np.sqrt(EMBEDDING_FEATURES)
        return cls(torch.from_numpy(rotation), torch.zeros(EMBEDDING_FEATURES, dtype=torch.float64))

    def project(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the principal components (N, D) of embeddings (N, D).

        Raises
        ------
        ValueError
            If the embeddings have another shape.
        """
        require_shape("embeddings", embeddings, ("N", EMBEDDING_FEATURES))
        return (embeddings - self.means) @ self.eigen_vectors.mT


def quantise(components: torch.Tensor) -> torch.Tensor:
    """Round values to 256 levels between −2 and 2, halves to the even level.

    Parameters
    ----------
    components : torch.Tensor
        Values of any shape; what is beyond ±2 takes the outermost level.

    Returns
    -------
    torch.Tensor
        The same shape, dtype uint8.

    Examples
    --------
    >>> quantise(torch.tensor([-3.0, 0.0, 2.0]))
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    return ((components.clamp(-2, 2) + 2) * 63.75).round().to(torch.uint8)

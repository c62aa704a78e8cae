"""CACE-Net: CMBS with an audio that the picture guides, and features that a contrast enhances.

He et al., *CACE-Net: Co-guidance Attention and Contrastive Enhancement for Effective Audio-Visual Event Localization*
(ACM MM 2024), as released for full supervision.

Axes: B clip, T segment, H W map, P position (H·W), D feature (256), C category.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from models.localization.cmbs import CMBSFullLocalization
from models.localization.heads import LocalizationHeads, in_full_precision, weak_clip_probabilities
from models.localization.position_attention import HIDDEN_CHANNELS, AudioGuided, CoGuidedAttention
from models.localization.released import inside
from models.localization.suppression import NUM_FEATURES, BackgroundSuppression
from models.shapes import require_shape

_NOISE_SCALE = 0.1


@dataclass(frozen=True)
class CACELocalization(CMBSFullLocalization):
    """The answers of CACE-Net and the steps that lead to them.

    Attributes
    ----------
    query, key : torch.Tensor, shape (B, T, D)
        Unit vectors of each segment, of its fusion as it is and with noise; the contrast compares them.
    heard : AudioGuided
        Steps of the audio.
    """

    query: torch.Tensor
    key: torch.Tensor
    heard: AudioGuided


class CACENet(nn.Module):
    """Localise audio-visual events after CACE-Net.

    With f the fusion and n noise, from the standard normal distribution::

        q = relu(W f + b),   query = q / |q|,   key = the same of f + 0.1 n
        event logits = <w, f + Λ q> + b if guided, else <w, f> + b

    Noise is drawn while training only: in evaluation n is 0 and the key equals the query. The released network draws it
    then too, which changes no score, since none depends on the key. The released training leaves q out of the event
    logits during the first eighth of its epochs (:meth:`set_guided`).

    Parameters
    ----------
    num_categories, visual_channels, audio_features, num_positions, alpha, beta, gamma :
        As :class:`models.localization.cmbs.CMBSFullNet`.
    psi : float, optional
        Share of what the map says of the sound, see :class:`models.localization.position_attention.CoGuidedAttention`.
    contrast_scale : float, optional
        Λ, weight of the contrasted features in the event logits.
    visual_dropout, position_dropout, dropout, interaction_dropout : float, optional
        As :class:`models.localization.cmbs.CMBSFullNet`; ``position_dropout`` also applies to what a sound gathered.

    Attributes
    ----------
    guided : torch.Tensor
        Buffer of one truth value, saved with the weights: whether the contrasted features enter the event logits.

    Raises
    ------
    ValueError
        As :class:`models.localization.heads.LocalizationHeads`.
    """

    xavier_layers: ClassVar[tuple[str, ...]] = ()
    released_names: ClassVar[Mapping[str, str]] = {
        "v_fc": "attention.visual.guided.visual_projection",
        "spatial_channel_att.v_norm": "attention.visual.layer_norm",
        **inside("spatial_channel_att", "attention", CoGuidedAttention.released_names),
        **inside("", "suppression", BackgroundSuppression.released_names),
        "localize_module.encoder_q.0": "contrast",
        "localize_module.classifier": "heads.relevance",
        "localize_module.event_classifier": "heads.category",
    }
    guided: torch.Tensor

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        num_positions: int = 49,
        alpha: float = 0.1,
        beta: float = 0.4,
        gamma: float = 0.3,
        psi: float = 0.3,
        contrast_scale: float = 0.6,
        visual_dropout: float = 0.2,
        position_dropout: float = 0.2,
        dropout: float = 0.1,
        interaction_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.gamma, self.contrast_scale = gamma, contrast_scale
        self.heads = LocalizationHeads(num_features=NUM_FEATURES, num_categories=num_categories, pooling="max")
        self.attention = CoGuidedAttention(
            visual_channels=visual_channels,
            audio_features=audio_features,
            num_positions=num_positions,
            beta=beta,
            psi=psi,
            dropout=visual_dropout,
            position_dropout=position_dropout,
        )
        self.suppression = BackgroundSuppression(
            num_categories=num_categories,
            visual_features=HIDDEN_CHANNELS,
            audio_features=audio_features,
            alpha=alpha,
            decoder_hidden=512,
            dropout=dropout,
            interaction_dropout=interaction_dropout,
        )
        self.contrast = nn.Linear(NUM_FEATURES, NUM_FEATURES)
        self.register_buffer("guided", torch.tensor(True))

    def set_guided(self, guided: bool) -> None:
        """Say whether the contrasted features enter the event logits from now on."""
        self.guided.fill_(guided)

    def forward(
        self, visual: torch.Tensor, audio: torch.Tensor, *, noise: torch.Tensor | None = None
    ) -> CACELocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Parameters
        ----------
        visual, audio : torch.Tensor
            The clips.
        noise : torch.Tensor, shape (B, T, D), optional
            n; by default drawn while training, else 0.

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        seen, heard = self.attention(visual, audio)
        steps = self.suppression(seen.visual, heard.audio)
        fusion, class_scores = steps.fusion, steps.class_scores
        contrasted = self._contrast(fusion)
        enhanced = torch.where(self.guided, fusion + self.contrast_scale * contrasted, fusion)
        event_logits = self.heads.judge_segments(enhanced)
        category_logits = self.heads.judge_clips(fusion) + self.gamma * class_scores
        return CACELocalization(
            event_logits=event_logits,
            category_logits=category_logits,
            clip_probabilities=weak_clip_probabilities(event_logits, category_logits),
            fusion=fusion,
            attention=seen.attention,
            gate=steps.gate,
            class_scores=class_scores,
            seen=seen,
            steps=steps,
            query=functional.normalize(contrasted, dim=-1),
            key=functional.normalize(self._contrast(self._disturb(fusion, noise)), dim=-1),
            heard=heard,
        )

    def _contrast(self, fusion: torch.Tensor) -> torch.Tensor:
        return torch.relu(in_full_precision(self.contrast, fusion))

    def _disturb(self, fusion: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """Return the fusion with the noise given, or with that of its mode."""
        if noise is None:
            return fusion + _NOISE_SCALE * torch.randn_like(fusion) if self.training else fusion
        require_shape("noise", noise, tuple(fusion.shape))
        return fusion + _NOISE_SCALE * noise

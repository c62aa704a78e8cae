"""CMRAN: channel and spatial attention, then relations within and across the modalities.

Xu et al., *Cross-Modal Relation-Aware Networks for Audio-Visual Event Localization* (ACM MM 2020), as released. There
is no LSTM and no positional encoding: if the segments are reordered, the answers are the same in the new order.

Axes: B clip, T segment, H W map, P position (H·W), K channel after projection (512), D feature (256), C category.

::

    audio ───────┬──── encoder ──┐  decoder ─┐
                 │               ╳           ├─ product ── interaction ── heads
    visual ── attention ─ encoder ┘  decoder ┘

Each decoder reads its own modality, and the encoder of the other one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from models.localization.answers import GatedLocalization
from models.localization.attention import ChannelSpatialAttention
from models.localization.heads import LocalizationHeads, weak_clip_probabilities
from models.localization.initialisation import init_as_released
from models.localization.relation import RelationAttention, RelationDecoder, RelationEncoder
from models.localization.released import inside

_HIDDEN_CHANNELS = 512
_NUM_FEATURES = 256


@dataclass(frozen=True)
class CMRANLocalization(GatedLocalization):
    """The answers of CMRAN and the steps that lead to them.

    Attributes
    ----------
    channel_attention : torch.Tensor, shape (B, T, K)
        Share by which each channel of the projected map is raised, 0 to 1 (``channel_att``).
    attended_visual : torch.Tensor, shape (B, T, K)
        Visual map after both attentions (``visual_vector``).
    encoded_visual, encoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself.
    decoded_visual, decoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself and to the other.
    """

    channel_attention: torch.Tensor
    attended_visual: torch.Tensor
    encoded_visual: torch.Tensor
    encoded_audio: torch.Tensor
    decoded_visual: torch.Tensor
    decoded_audio: torch.Tensor


class CMRANNet(nn.Module):
    """Localise audio-visual events by relating every segment to every segment of both modalities.

    The category is judged from the maximum over the segments, by design. All weights start as PyTorch starts them; both
    layers of an encoder start from the same ones.

    Parameters
    ----------
    num_categories : int
        C, without background.
    visual_channels : int, optional
        Channels of the visual maps: 512 for VGG-19, 1024 for ResNet.
    audio_features : int, optional
        Size of the audio vector of a segment.
    num_positions : int, optional
        Positions of the visual maps, H·W. No weight depends on it: maps of another size are refused, as by the other
        networks.
    interaction_heads : int, optional
        Heads of the attention that lets the modalities interact: 4 in the released network for full supervision, 2 in
        the one for weak supervision. All others have 4.
    background_class : bool, optional
        Whether background is one of the clip's classes, the last: so the authors train under weak supervision.
    map_dropout : float, optional
        Probability of dropping, while training, a feature of the projected visual map.
    dropout : float, optional
        Probability of dropping, while training, a feature or a weight of an attention in the relations. Both values,
        and that nothing else is dropped, are as released.

    Raises
    ------
    ValueError
        If the heads of the interaction cannot share 256 features equally, or as
        :class:`models.localization.heads.LocalizationHeads`.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "v_fc": "attention.visual_projection",
        **inside("spatial_channel_att", "attention", ChannelSpatialAttention.released_names),
        **inside("video_encoder", "visual_encoder", RelationEncoder.released_names),
        **inside("audio_encoder", "audio_encoder", RelationEncoder.released_names),
        **inside("video_decoder", "visual_decoder", RelationDecoder.released_names),
        **inside("audio_decoder", "audio_decoder", RelationDecoder.released_names),
        "AVInter.video_multihead": "interaction.attention",
        "AVInter.norm1": "interaction.layer_norm",
        "localize_module.classifier": "heads.relevance",
        "localize_module.event_classifier": "heads.category",
    }
    xavier_layers: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        num_positions: int = 49,
        interaction_heads: int = 4,
        background_class: bool = False,
        map_dropout: float = 0.2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if interaction_heads < 1 or _NUM_FEATURES % interaction_heads:
            raise ValueError(
                f"interaction_heads: expected a divisor of {_NUM_FEATURES}, found {interaction_heads}; "
                "the heads share the features equally"
            )
        self.attention = ChannelSpatialAttention(
            visual_channels=visual_channels,
            audio_features=audio_features,
            num_positions=num_positions,
            hidden_features=_HIDDEN_CHANNELS,
            dropout=map_dropout,
        )
        self.visual_encoder = RelationEncoder(in_features=_HIDDEN_CHANNELS, num_features=_NUM_FEATURES, dropout=dropout)
        self.audio_encoder = RelationEncoder(in_features=audio_features, num_features=_NUM_FEATURES, dropout=dropout)
        self.visual_decoder = RelationDecoder(in_features=_HIDDEN_CHANNELS, num_features=_NUM_FEATURES, dropout=dropout)
        self.audio_decoder = RelationDecoder(in_features=audio_features, num_features=_NUM_FEATURES, dropout=dropout)
        self.interaction = RelationAttention(num_features=_NUM_FEATURES, num_heads=interaction_heads, dropout=dropout)
        self.heads = LocalizationHeads(
            num_features=_NUM_FEATURES, num_categories=num_categories, pooling="max", background_class=background_class
        )
        init_as_released(self)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> CMRANLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        attended_visual, attention, channel_attention = self.attention(visual, audio)
        encoded_visual = self.visual_encoder(attended_visual)
        encoded_audio = self.audio_encoder(audio)
        decoded_visual = self.visual_decoder(attended_visual, encoded_audio)
        decoded_audio = self.audio_decoder(audio, encoded_visual)
        fusion = self.interaction(decoded_visual * decoded_audio, torch.cat([decoded_audio, decoded_visual], dim=1))
        event_logits, category_logits = self.heads(fusion)
        return CMRANLocalization(
            event_logits=event_logits,
            category_logits=category_logits,
            clip_probabilities=weak_clip_probabilities(event_logits, category_logits),
            fusion=fusion,
            attention=attention,
            channel_attention=channel_attention,
            attended_visual=attended_visual,
            encoded_visual=encoded_visual,
            encoded_audio=encoded_audio,
            decoded_visual=decoded_visual,
            decoded_audio=decoded_audio,
        )

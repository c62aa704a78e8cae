"""CMBS: background suppressed at the level of segments, by gates, and at that of events, by scores of each modality.

Xia and Zhao, *Cross-Modal Background Suppression for Audio-Visual Event Localization* (CVPR 2022), as released.

Axes: B clip, T segment, H W map, P position (H·W), D feature (256), C category, K class: the categories, and behind
them background where the network has a class for it.

::

    audio ───────┬───── LSTM ── encoder ──┐  decoder ─ gate ─┐
                 │                        ╳                  ├─ interaction ── heads
    visual ── attention ─ LSTM ─ encoder ─┘  decoder ─ gate ─┘

Each decoder reads its own modality, and the encoder of the other one. Under weak supervision there are no LSTMs, and
the gates themselves are the relevance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import nn
from torch.nn import functional

from models.localization.answers import GatedLocalization
from models.localization.heads import (
    LocalizationHeads,
    gated_clip_probabilities,
    in_full_precision,
    weak_clip_probabilities,
)
from models.localization.losses import GateForm
from models.localization.position_attention import HIDDEN_CHANNELS, PositionAttended, PositionAttention
from models.localization.released import inside
from models.localization.suppression import (
    NUM_FEATURES,
    BackgroundSuppression,
    CrossModalRelations,
    Interaction,
    ModalityScores,
    Suppressed,
    mean_of_top,
)


@dataclass(frozen=True)
class CMBSFullLocalization(GatedLocalization):
    """The answers of CMBS under full supervision and the steps that lead to them.

    Attributes
    ----------
    gate : torch.Tensor, shape (B, T)
        How likely both modalities hold an event, 0 to 1.
    class_scores : torch.Tensor, shape (B, C)
        Category of the clip by the strongest segments of each modality (``av_score`` in the golden vectors).
    seen : PositionAttended
        Steps of the visual attention.
    steps : Suppressed
        Steps from there to the fusion.
    """

    gate: torch.Tensor
    class_scores: torch.Tensor
    seen: PositionAttended
    steps: Suppressed


@dataclass(frozen=True)
class CMBSWeakLocalization(GatedLocalization):
    """The answers of CMBS under weak supervision and the steps that lead to them.

    Attributes
    ----------
    gate : torch.Tensor, shape (B, T)
        How likely the modalities hold an event, 0 to 1.
    segment_scores : torch.Tensor, shape (B, T, K)
        Class of each segment by the fusion alone (``CAS_model`` in the golden vectors).
    visual_scores, audio_scores : torch.Tensor, shape (B, T, K)
        Class of each segment in each modality (``video_cas``, ``audio_cas``).
    seen : PositionAttended
        Steps of the visual attention.
    encoded_visual, encoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself.
    decoded_visual, decoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself and to the other, before the gates.
    visual_gate, audio_gate : torch.Tensor, shape (B, T)
        How likely each modality holds an event, 0 to 1; ``audio_gated`` and ``video_gated``, in this order.
    interacted_visual, interacted_audio : torch.Tensor, shape (B, T, D)
        What :class:`models.localization.suppression.Interaction` makes of them.
    """

    gate: torch.Tensor
    segment_scores: torch.Tensor
    visual_scores: torch.Tensor
    audio_scores: torch.Tensor
    seen: PositionAttended
    encoded_visual: torch.Tensor
    encoded_audio: torch.Tensor
    decoded_visual: torch.Tensor
    decoded_audio: torch.Tensor
    visual_gate: torch.Tensor
    audio_gate: torch.Tensor
    interacted_visual: torch.Tensor
    interacted_audio: torch.Tensor


class CMBSFullNet(nn.Module):
    """Localise audio-visual events after CMBS, for full supervision.

    The category is judged from the maximum of the fusion over the segments, and from each modality by itself. All
    weights stay as PyTorch starts them. The dropout of the released LSTMs has no effect, as they have one layer.

    Parameters
    ----------
    num_categories : int
        C, without background.
    visual_channels : int, optional
        Channels of the visual maps.
    audio_features : int, optional
        Size of the audio vector of a segment.
    num_positions : int, optional
        Positions of the visual maps, H·W. No weight depends on it.
    alpha : float, optional
        How much the gate of one modality stresses the other.
    beta : float, optional
        Share of what the map says of itself, see :class:`models.localization.position_attention.PositionAttention`.
    gamma : float, optional
        Weight of the scores of each modality beside those of the fusion.
    visual_dropout, position_dropout : float, optional
        Probability of dropping, while training, a channel of the projected map and of what a position gathered.
    dropout : float, optional
        That of dropping a feature, or a weight of an attention, in the relations, and a feature in the interaction.
    interaction_dropout : float, optional
        That of dropping a weight of the attentions in the interaction.

    Raises
    ------
    ValueError
        As :class:`models.localization.heads.LocalizationHeads`.
    """

    xavier_layers: ClassVar[tuple[str, ...]] = ()
    released_names: ClassVar[Mapping[str, str]] = {
        "v_fc": "attention.guided.visual_projection",
        "spatial_channel_att.norm": "attention.layer_norm",
        **inside("spatial_channel_att", "attention", PositionAttention.released_names),
        **inside("", "suppression", BackgroundSuppression.released_names),
        "localize_module.classifier": "heads.relevance",
        "localize_module.event_classifier": "heads.category",
    }

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
        visual_dropout: float = 0.2,
        position_dropout: float = 0.2,
        dropout: float = 0.1,
        interaction_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.heads = LocalizationHeads(num_features=NUM_FEATURES, num_categories=num_categories, pooling="max")
        self.attention = PositionAttention(
            visual_channels=visual_channels,
            audio_features=audio_features,
            num_positions=num_positions,
            beta=beta,
            dropout=visual_dropout,
            position_dropout=position_dropout,
        )
        self.suppression = BackgroundSuppression(
            num_categories=num_categories,
            visual_features=HIDDEN_CHANNELS,
            audio_features=audio_features,
            alpha=alpha,
            decoder_hidden=1024,
            dropout=dropout,
            interaction_dropout=interaction_dropout,
        )

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> CMBSFullLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            If the shapes do not fit the network or each other; maps with channels first are refused.
        """
        seen = self.attention(visual, audio)
        steps = self.suppression(seen.visual, audio)
        fusion, class_scores = steps.fusion, steps.class_scores
        event_logits, category_logits = self.heads(fusion)
        category_logits = category_logits + self.gamma * class_scores
        return CMBSFullLocalization(
            event_logits=event_logits,
            category_logits=category_logits,
            clip_probabilities=weak_clip_probabilities(event_logits, category_logits),
            fusion=fusion,
            attention=seen.attention,
            gate=steps.gate,
            class_scores=class_scores,
            seen=seen,
            steps=steps,
        )


class CMBSWeakNet(nn.Module):
    """Localise audio-visual events after CMBS, for weak supervision.

    With E and D what the relations encode and decode, and the fusion of what interacted::

        g_v = sigmoid(<w_v, E_v> + b),   g_a = sigmoid(<w_a, E_a> + b),   G = (g_v + g_a) / 2
        D_v <- (1 − α) D_v + α g_v D_v,   D_a <- (1 − α) D_a + α g_a D_a
        scores = γ (sigmoid(S_v D_v) + sigmoid(S_a D_a)) * S fusion
        category logits = mean over the 4 largest in time;   clip = softmax over classes of max over t of G_t logits

    As released: each modality is gated by itself, the released names ``audio_gated`` and ``video_gated`` being those of
    the other modality; and G is given as a logit although it is a probability already, so that the sigmoid of it is
    above 0.5 in every segment, and background is only ever predicted for a whole clip, by its class.

    Parameters
    ----------
    num_categories : int
        C, without background.
    visual_channels, audio_features, num_positions :
        As :class:`CMBSFullNet`.
    background_class : bool, optional
        Whether background is a class of its own, as released: the last of K = C + 1.
    gate : {"released", "intended"}, optional
        Whether the event logits are G itself, or its logit.
    alpha : float, optional
        How much the gates suppress, 0 to 1.
    beta : float, optional
        As :class:`CMBSFullNet`.
    gamma : float, optional
        Weight of both modalities' scores in the product with those of the fusion.
    visual_dropout, position_dropout, dropout, interaction_dropout : float, optional
        As :class:`CMBSFullNet`.

    Raises
    ------
    ValueError
        If there is no category, or the form of the gate is unknown.
    """

    xavier_layers: ClassVar[tuple[str, ...]] = ()
    released_names: ClassVar[Mapping[str, str]] = {
        "v_fc": "attention.guided.visual_projection",
        "spatial_channel_att.norm": "attention.layer_norm",
        **inside("spatial_channel_att", "attention", PositionAttention.released_names),
        **inside("", "relations", CrossModalRelations.released_names),
        **inside("", "interaction", Interaction.released_names),
        "audio_gated.0": "gates.visual",
        "video_gated.0": "gates.audio",
        "video_cas": "scores.visual",
        "audio_cas": "scores.audio",
        "CAS_model.classifier.0": "segment_scores",
    }

    def __init__(
        self,
        *,
        num_categories: int,
        visual_channels: int = 512,
        audio_features: int = 128,
        num_positions: int = 49,
        background_class: bool = True,
        gate: GateForm = "released",
        alpha: float = 0.2,
        beta: float = 0.5,
        gamma: float = 0.5,
        visual_dropout: float = 0.1,
        position_dropout: float = 0.2,
        dropout: float = 0.1,
        interaction_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if num_categories < 1:
            raise ValueError(f"num_categories: expected at least 1, found {num_categories}")
        if gate not in get_args(GateForm):
            raise ValueError(f"gate: expected 'released' or 'intended', found {gate!r}")
        self.alpha, self.gamma, self.gate = alpha, gamma, gate
        num_classes = num_categories + background_class
        self.attention = PositionAttention(
            visual_channels=visual_channels,
            audio_features=audio_features,
            num_positions=num_positions,
            beta=beta,
            dropout=visual_dropout,
            position_dropout=position_dropout,
        )
        self.relations = CrossModalRelations(
            visual_features=HIDDEN_CHANNELS,
            audio_features=audio_features,
            encoder_hidden=2048,
            decoder_hidden=1024,
            dropout=dropout,
        )
        self.gates = ModalityScores(1)
        self.scores = ModalityScores(num_classes)
        self.interaction = Interaction(num_heads=2, dropout=dropout, attention_dropout=interaction_dropout)
        self.segment_scores = nn.Conv1d(NUM_FEATURES, num_classes, kernel_size=1, bias=False)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> CMBSWeakLocalization:
        """Localise in maps (B, T, H, W, visual_channels) and audio (B, T, audio_features).

        Raises
        ------
        ValueError
            As :meth:`CMBSFullNet.forward`.
        """
        seen = self.attention(visual, audio)
        related = self.relations(seen.visual, audio)
        of_visual, of_audio = self.gates(related.encoded_visual, related.encoded_audio)
        visual_gate, audio_gate = torch.sigmoid(of_visual), torch.sigmoid(of_audio)
        gate = (visual_gate + audio_gate).squeeze(-1) / 2
        decoded_visual = self._suppress(related.decoded_visual, visual_gate)
        decoded_audio = self._suppress(related.decoded_audio, audio_gate)
        visual_scores, audio_scores = self.scores(decoded_visual, decoded_audio)
        interacted_visual, interacted_audio = self.interaction(decoded_visual, decoded_audio)
        fusion = (interacted_visual + interacted_audio) / 2
        segment_scores = in_full_precision(self.segment_scores, fusion.mT).mT
        agreed = self.gamma * (torch.sigmoid(visual_scores) + torch.sigmoid(audio_scores)) * segment_scores
        category_logits = mean_of_top(agreed)
        return CMBSWeakLocalization(
            event_logits=gate if self.gate == "released" else _logit_of_mean(of_visual, of_audio).squeeze(-1),
            category_logits=category_logits,
            clip_probabilities=gated_clip_probabilities(gate, category_logits),
            fusion=fusion,
            attention=seen.attention,
            gate=gate,
            segment_scores=segment_scores,
            visual_scores=visual_scores,
            audio_scores=audio_scores,
            seen=seen,
            **related._asdict(),
            visual_gate=visual_gate.squeeze(-1),
            audio_gate=audio_gate.squeeze(-1),
            interacted_visual=interacted_visual,
            interacted_audio=interacted_audio,
        )

    def _suppress(self, decoded: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return (1 - self.alpha) * decoded + self.alpha * gate * decoded


def _logit_of_mean(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the logit of the mean of two sigmoids, also where both are 0 or 1 to rounding."""
    likely = torch.logaddexp(functional.logsigmoid(first), functional.logsigmoid(second))
    unlikely = torch.logaddexp(functional.logsigmoid(-first), functional.logsigmoid(-second))
    return likely - unlikely

"""Relations across the modalities with background suppressed on the way: what CMBS and CACE-Net share.

Axes: B clip, T segment, D feature (256), K class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import nn

from models.localization.heads import in_full_precision
from models.localization.relation import RelationAttention, RelationDecoder, RelationEncoder
from models.localization.released import inside
from models.localization.temporal import bidirectional_lstm, run_lstm

NUM_FEATURES = 256
"""D, in which the modalities are related to each other."""

NUM_TOP_SEGMENTS = 4
"""Segments that decide on the class of a clip."""


class Related(NamedTuple):
    """Both modalities, related within and across.

    Attributes
    ----------
    encoded_visual, encoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself.
    decoded_visual, decoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself and to the other.
    """

    encoded_visual: torch.Tensor
    encoded_audio: torch.Tensor
    decoded_visual: torch.Tensor
    decoded_audio: torch.Tensor


class CrossModalRelations(nn.Module):
    """Encode each modality, then decode it with the code of the other one in view, as CMRAN does.

    Parameters
    ----------
    visual_features, audio_features : int
        Sizes of the inputs.
    encoder_hidden, decoder_hidden : int
        Hidden features of the layers.
    dropout : float
        Of all layers.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        **inside("video_encoder", "visual_encoder", RelationEncoder.released_names),
        **inside("audio_encoder", "audio_encoder", RelationEncoder.released_names),
        **inside("video_decoder", "visual_decoder", RelationDecoder.released_names),
        **inside("audio_decoder", "audio_decoder", RelationDecoder.released_names),
    }

    def __init__(
        self, *, visual_features: int, audio_features: int, encoder_hidden: int, decoder_hidden: int, dropout: float
    ) -> None:
        super().__init__()

        def encoder(in_features: int) -> RelationEncoder:
            return RelationEncoder(
                in_features=in_features, num_features=NUM_FEATURES, dropout=dropout, hidden_features=encoder_hidden
            )

        def decoder(in_features: int) -> RelationDecoder:
            return RelationDecoder(
                in_features=in_features, num_features=NUM_FEATURES, dropout=dropout, hidden_features=decoder_hidden
            )

        self.visual_encoder, self.visual_decoder = encoder(visual_features), decoder(visual_features)
        self.audio_encoder, self.audio_decoder = encoder(audio_features), decoder(audio_features)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> Related:
        """Relate visual (B, T, visual_features) and audio (B, T, audio_features) sequences."""
        encoded_visual, encoded_audio = self.visual_encoder(visual), self.audio_encoder(audio)
        return Related(
            encoded_visual=encoded_visual,
            encoded_audio=encoded_audio,
            decoded_visual=self.visual_decoder(visual, encoded_audio),
            decoded_audio=self.audio_decoder(audio, encoded_visual),
        )


class Interaction(nn.Module):
    """Let the modalities interact in turn: I(x, y) = LN(x * y + attention(x * y, [y, x])).

    The visual features become v' = I(v, a); the audio meets them as they are then: a' = I(a, v').

    Parameters
    ----------
    num_heads : int
        Of both attentions.
    dropout : float
        Probability of dropping a feature of what was gathered while training.
    attention_dropout : float
        Probability of dropping a weight of the attentions while training.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "AVInter.video_multihead": "visual.attention",
        "AVInter.norm1": "visual.layer_norm",
        "VAInter.video_multihead": "audio.attention",
        "VAInter.norm1": "audio.layer_norm",
    }

    def __init__(self, *, num_heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.visual = RelationAttention(
            num_features=NUM_FEATURES, num_heads=num_heads, dropout=dropout, attention_dropout=attention_dropout
        )
        self.audio = RelationAttention(
            num_features=NUM_FEATURES, num_heads=num_heads, dropout=dropout, attention_dropout=attention_dropout
        )

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return v' and a', both (B, T, D), of visual and audio features (B, T, D)."""
        visual_then = self.visual(visual * audio, torch.cat([audio, visual], dim=1))
        audio_then = self.audio(audio * visual_then, torch.cat([visual_then, audio], dim=1))
        return visual_then, audio_then


class ModalityScores(nn.Module):
    """One linear score, or several, of every segment in each modality.

    Parameters
    ----------
    num_scores : int
        Scores of a segment.
    """

    def __init__(self, num_scores: int) -> None:
        super().__init__()
        self.visual = nn.Linear(NUM_FEATURES, num_scores)
        self.audio = nn.Linear(NUM_FEATURES, num_scores)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores (B, T, num_scores) of visual and of audio features (B, T, D)."""
        return in_full_precision(self.visual, visual), in_full_precision(self.audio, audio)


def mean_of_top(scores: torch.Tensor) -> torch.Tensor:
    """Return the mean, (B, K), of the largest :data:`NUM_TOP_SEGMENTS` scores (B, T, K) of each class over time.

    A clip of fewer segments has the mean of them all.
    """
    return scores.topk(min(NUM_TOP_SEGMENTS, scores.shape[1]), dim=1).values.mean(dim=1)


@dataclass(frozen=True)
class Suppressed:
    """The steps from both sequences to the fused features.

    Attributes
    ----------
    visual_sequence, audio_sequence : torch.Tensor, shapes (B, T, 2 D) and (B, T, D)
        Each segment with the context of its clip (``rnn_video``, ``rnn_audio`` in the golden vectors).
    encoded_visual, encoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself.
    decoded_visual, decoded_audio : torch.Tensor, shape (B, T, D)
        Each modality related to itself and to the other, before the gates.
    visual_gate, audio_gate : torch.Tensor, shape (B, T)
        How likely each modality holds an event, 0 to 1 (``video_gated``, ``audio_gated``).
    visual_scores, audio_scores : torch.Tensor, shape (B, T, C)
        Category of each segment in each modality (``video_cas``, ``audio_cas``).
    interacted_visual, interacted_audio : torch.Tensor, shape (B, T, D)
        v' and a' of :class:`Interaction` (``AVInter``, ``VAInter``).
    """

    visual_sequence: torch.Tensor
    audio_sequence: torch.Tensor
    encoded_visual: torch.Tensor
    encoded_audio: torch.Tensor
    decoded_visual: torch.Tensor
    decoded_audio: torch.Tensor
    visual_gate: torch.Tensor
    audio_gate: torch.Tensor
    visual_scores: torch.Tensor
    audio_scores: torch.Tensor
    interacted_visual: torch.Tensor
    interacted_audio: torch.Tensor

    @property
    def gate(self) -> torch.Tensor:
        """G, (B, T): how likely both modalities hold an event, 0 to 1."""
        return self.visual_gate * self.audio_gate

    @property
    def class_scores(self) -> torch.Tensor:
        """Category of the clip, (B, C), by its strongest segments, averaged over the modalities."""
        return (mean_of_top(self.visual_scores) + mean_of_top(self.audio_scores)) / 2

    @property
    def fusion(self) -> torch.Tensor:
        """Both modalities in one vector per segment, (B, T, D)."""
        return (self.interacted_visual + self.interacted_audio) / 2


class BackgroundSuppression(nn.Module):
    """Relate both sequences across the modalities, each stressed where the other one holds an event.

    With E and D what :class:`CrossModalRelations` encodes and decodes of the LSTMs' outputs::

        g_v = sigmoid(<w_v, E_v> + b),   g_a = sigmoid(<w_a, E_a> + b)
        D_v (1 + α g_a),   D_a (1 + α g_v)   are scored per category, and interact

    The part of CMBS under full supervision (Xia and Zhao, CVPR 2022) that CACE-Net took over.

    Parameters
    ----------
    num_categories : int
        C.
    visual_features, audio_features : int
        Sizes of the inputs.
    alpha : float
        α, how much a gate stresses.
    decoder_hidden : int
        Hidden features of the decoders; those of the encoders are 1024.
    dropout : float
        Of the relations and the interaction.
    interaction_dropout : float
        Of the weights of the interaction's attentions.
    """

    released_names: ClassVar[Mapping[str, str]] = {
        "audio_visual_rnn_layer.visual_rnn": "visual_lstm",
        "audio_visual_rnn_layer.audio_rnn": "audio_lstm",
        **inside("", "relations", CrossModalRelations.released_names),
        **inside("", "interaction", Interaction.released_names),
        "video_gated.0": "gates.visual",
        "audio_gated.0": "gates.audio",
        "video_cas": "scores.visual",
        "audio_cas": "scores.audio",
    }

    def __init__(
        self,
        *,
        num_categories: int,
        visual_features: int,
        audio_features: int,
        alpha: float,
        decoder_hidden: int,
        dropout: float,
        interaction_dropout: float,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.visual_lstm = bidirectional_lstm(visual_features, NUM_FEATURES)
        self.audio_lstm = bidirectional_lstm(audio_features, NUM_FEATURES // 2)
        self.relations = CrossModalRelations(
            visual_features=2 * NUM_FEATURES,
            audio_features=NUM_FEATURES,
            encoder_hidden=1024,
            decoder_hidden=decoder_hidden,
            dropout=dropout,
        )
        self.gates = ModalityScores(1)
        self.scores = ModalityScores(num_categories)
        self.interaction = Interaction(num_heads=4, dropout=dropout, attention_dropout=interaction_dropout)

    def forward(self, visual: torch.Tensor, audio: torch.Tensor) -> Suppressed:
        """Relate visual (B, T, visual_features) and audio (B, T, audio_features) sequences."""
        visual_sequence = run_lstm(self.visual_lstm, visual).sequence
        audio_sequence = run_lstm(self.audio_lstm, audio).sequence
        related = self.relations(visual_sequence, audio_sequence)
        scored = self.gates(related.encoded_visual, related.encoded_audio)
        visual_gate, audio_gate = (torch.sigmoid(score) for score in scored)
        stressed_visual = related.decoded_visual * (1 + self.alpha * audio_gate)
        stressed_audio = related.decoded_audio * (1 + self.alpha * visual_gate)
        visual_scores, audio_scores = self.scores(stressed_visual, stressed_audio)
        interacted_visual, interacted_audio = self.interaction(stressed_visual, stressed_audio)
        return Suppressed(
            visual_sequence=visual_sequence,
            audio_sequence=audio_sequence,
            **related._asdict(),
            visual_gate=visual_gate.squeeze(-1),
            audio_gate=audio_gate.squeeze(-1),
            visual_scores=visual_scores,
            audio_scores=audio_scores,
            interacted_visual=interacted_visual,
            interacted_audio=interacted_audio,
        )

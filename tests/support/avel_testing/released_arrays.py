"""What the arrays of the golden sets are called in our networks' answers."""

import re
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from models.parsing.losses import segment_similarity

OF_PROPAGATION = {
    "beta": "pair_similarity",
    "beta_va": "visual_similarity",
    "beta_av": "audio_similarity",
    "gamma_va": "visual_connections",
    "gamma_av": "audio_connections",
    "v_psp": "visual",
    "a_psp": "audio",
    "fusion": "fusion",
}
"""Arrays of a propagation by itself."""
OF_NETWORK = {
    **{array: f"propagation.{step}" for array, step in OF_PROPAGATION.items()},
    "event_logits": "event_logits",
    "event": "event_logits",
    "category_logits": "category_logits",
    "class_logits": "category_logits",
    "video_probs": "clip_probabilities",
    "logits": "segment_logits",
    "scores": "segment_logits",
    "segment_logits_before_weighting": "unweighted_logits",
    "temporal_weight": "segment_weights",
    "hidden64": "hidden",
    "avps": "similarity",
    "fusion": "fusion",
    "final_v": "visual",
    "final_a": "audio",
    "alpha": "attention",
    "fa": "projected_audio",
    "video_att": "attended_visual",
    "fv": "projected_visual",
    "linear_v": "projected_visual",
    "lstm_audio": "audio_sequence",
    "lstm_video": "visual_sequence",
    "init_h": "initial_hidden",
    "init_c": "initial_cell",
    "lstm_av": "joint_sequence",
    "channel_att": "channel_attention",
    "spatial_att": "attention",
    "spatial_att_0": "attention",
    "visual_vector": "attended_visual",
    "video_encoder": "encoded_visual",
    "audio_encoder": "encoded_audio",
    "video_decoder": "decoded_visual",
    "audio_decoder": "decoded_audio",
    "av_inter": "fusion",
    "AVInter": "fusion",
    "av_gate": "gate",
    "av_score": "class_scores",
    "x_audio": "audio_inputs",
    "x_visual": "visual_inputs",
    "han_audio": "audio",
    "han_visual": "visual",
    "x": "features",
    "frame_prob": "segment_probabilities",
    "a_prob": "audio_probabilities",
    "v_prob": "visual_probabilities",
    "global_prob": "global_probabilities",
}
"""Arrays by what they hold, to attributes of our answers; models that differ are in `OF_MODEL`."""
SEEN = {
    "visual_vector": "seen.visual",
    "spatial_att_0": "seen.summary_attention",
    "spatial_att_1": "attention",
    "position_att0": "seen.position_attention",
}
RELATED = {
    "video_encoder": "encoded_visual",
    "audio_encoder": "encoded_audio",
    "video_decoder": "decoded_visual",
    "audio_decoder": "decoded_audio",
    "AVInter": "interacted_visual",
    "VAInter": "interacted_audio",
    "video_cas": "visual_scores",
    "audio_cas": "audio_scores",
}
SUPPRESSED = {
    **SEEN,
    **{array: f"steps.{step}" for array, step in RELATED.items()},
    "rnn_audio": "steps.audio_sequence",
    "rnn_video": "steps.visual_sequence",
    "audio_gated": "steps.audio_gate",
    "video_gated": "steps.visual_gate",
}
OF_MODEL: dict[str, dict[str, str]] = {
    "cmbs_full": SUPPRESSED,
    "cmbs_weak": {
        **SEEN,
        **RELATED,
        # The released names are crossed: each gate reads the other modality than it is named after.
        "audio_gated": "visual_gate",
        "video_gated": "audio_gate",
        "CAS_model": "segment_scores",
    },
    "cacenet_full": {
        **SUPPRESSED,
        "guided_audio": "heard.audio",
        "time_att_0": "heard.segment_attention",
        "time_att_1": "heard.guidance_attention",
        "position_att1": "heard.position_attention",
        "query": "query",
        "key": "key",
    },
}
"""Models whose arrays are called otherwise, or mean another step."""
BATCH_SECOND = {
    *("init_h", "init_c", "av_inter", "AVInter", "VAInter", "augmentation_noise"),
    *("video_encoder", "audio_encoder", "video_decoder", "audio_decoder"),
    *("video_cas", "audio_cas", "video_gated", "audio_gated"),
}
SIMILARITIES = "sims"
"""What the contrast of sound and picture compares in networks that parse, a row for each segment of all clips."""
SIMILARITY_TEMPERATURE = 0.2
RUNS = re.compile(r"(maxpool|switch_on|quirk_channels_last|quirk_channels_first)_")
"""How an array begins that another run made than the plain one: max pooling, CACE-Net's switch, or misread maps."""
FIRST_SEGMENT = "_video0_segment0"
"""How the name of an array ends that holds the first segment of the first clip alone."""


def run_of(array: str) -> str:
    """Return the run that made an array: ``plain``, or how its name begins."""
    begins = RUNS.match(array)
    return begins[1] if begins else "plain"


def plain_name(array: str) -> str:
    """Return what an array holds, whichever run made it, wherever it is returned and in whatever shape.

    >>> plain_name("out3_fusion"), plain_name("maxpool_video_probs"), plain_name("out0_event_logits_TB1")
    ('fusion', 'video_probs', 'event_logits')
    """
    inner = re.sub(r"^out\d+_", "", RUNS.sub("", array))
    return re.sub(rf"(_TB1|_BT|{FIRST_SEGMENT})$", "", inner)


def batch_first(array: str, values: np.ndarray) -> np.ndarray:
    """Return an array with the batch axis first, as ours are, and without an axis for a single score."""
    if plain_name(array) == SIMILARITIES:
        return values.reshape(-1, values.shape[1], values.shape[1])
    if array.endswith("_TB1") or plain_name(array) in BATCH_SECOND:
        values = values.swapaxes(0, 1)
    return values.squeeze(-1) if values.ndim > 1 and values.shape[-1] == 1 else values


def first_clip(array: str, values: np.ndarray) -> np.ndarray:
    """Return the part of an array, batch axis first, that belongs to the first clip."""
    return values if array.endswith(FIRST_SEGMENT) else values[:1]


def is_answer(model: str, array: str) -> bool:
    """Return whether an array is something that our network for a model answers."""
    return plain_name(array) in _table(model) or plain_name(array) == "segment_probs"


def read(found: Any, model: str, array: str) -> torch.Tensor:
    """Return what our network for a model answered for an array."""
    if plain_name(array) == "segment_probs":
        return torch.softmax(found.segment_logits, dim=-1)
    if plain_name(array) == SIMILARITIES:
        heard, seen = found.features[:, :, 0], found.visual_inputs
        return segment_similarity(heard, seen, temperature=SIMILARITY_TEMPERATURE)
    value: torch.Tensor = attrgetter(_table(model)[plain_name(array)])(found)
    return value[0, 0] if array.endswith(FIRST_SEGMENT) else value


def _table(model: str) -> dict[str, str]:
    return OF_NETWORK | OF_MODEL.get(model, {})

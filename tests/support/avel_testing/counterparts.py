"""Our network for each model of the golden sets."""

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from models.localization.ave import AVEAttentionNet, AVEResidualNet
from models.localization.avel import AVELNet
from models.localization.avsdn import AVSDNNet
from models.localization.cacenet import CACENet
from models.localization.cmbs import CMBSFullNet, CMBSWeakNet
from models.localization.cmran import CMRANNet
from models.localization.psp import PSPNet
from models.localization.psp2021 import PSP2021FullNet, PSP2021WeakNet
from models.localization.released import translate
from models.parsing.han import HANNet
from models.parsing.psp import MMILPSPNet

READS_MAPS = re.compile(r"(affine_video|^v_fc)\.weight$")
"""The layer of a released network that the visual maps enter, each position as a row of channels."""
PARSING = re.compile(r"avvp_\w+|han2020")
"""Models that parse videos. They read no maps, but two streams of vectors."""
VECTORS_PER_SEGMENT = 8
"""Appearance vectors of a segment, in the features of all models that parse."""
ANY_TAU = 0.1
"""Threshold of a network whose model names none; no weight depends on it."""
CONSTANTS = {"alpha": "alpha", "beta": "beta", "gamma": "gamma", "psai": "psi", "Lambda": "contrast_scale"}
"""Constants of the released constructors, to ours."""
POOLINGS = {"avg": "mean", "max": "max"}
"""Values of their setting ``pooling_type``, to those of our ``pooling``."""


@dataclass(frozen=True)
class Counterpart:
    """Our network for a released model.

    Attributes
    ----------
    ours : type
        Its class.
    classes : str
        Pattern of the released weight that has a row for each class.
    settings : dict
        What the class does not settle.
    has_background : bool
        Whether one of the classes is background.
    """

    ours: type[nn.Module]
    classes: str = r"(psp\.)?category_classifier\.0"
    settings: dict[str, Any] = field(default_factory=dict)
    has_background: bool = False

    def build(self, spec: dict[str, Any], **settings: Any) -> nn.Module:
        """Build our network in the sizes of the model's parameters, all in single precision; `settings` go first."""
        shapes = parameter_shapes(spec).items()
        (num_classes,) = (shape[0] for key, shape in shapes if re.fullmatch(rf"{self.classes}\.weight", key))
        given = spec.get("constructor", {})
        released = {
            "tau": spec.get("threshold", given.get("thr_val", given.get("threshold", ANY_TAU))),
            "pooling": POOLINGS[given.get("pooling_type", "avg")],
            **{CONSTANTS[name]: value for name, value in given.items() if name in CONSTANTS},
            **visual_sizes(spec),
        }
        accepted = inspect.signature(self.ours).parameters
        return self.ours(
            num_categories=num_classes - self.has_background,
            **{name: value for name, value in released.items() if name in accepted} | self.settings | settings,
        )


def parameter_shapes(spec: dict[str, Any]) -> dict[str, list[int]]:
    """Return the shape of every parameter of a model, by its released name without prefix."""
    return {param["key"].removeprefix(spec["prefix"]): param["shape"] for param in spec["params"]}


def visual_sizes(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of ours that say which visual features a model reads."""
    shapes = parameter_shapes(spec)
    if "fc_st.weight" in shapes:
        visual_shape = (VECTORS_PER_SEGMENT, shapes["fc_v.weight"][1])
        return {"visual_shape": visual_shape, "motion_features": shapes["fc_st.weight"][1]}
    (channels,) = (shape[1] for key, shape in shapes.items() if READS_MAPS.search(key))
    return {"visual_channels": channels}


CMRAN_CLASSES = r"localize_module\.event_classifier"
COUNTERPARTS = {
    r"(fully|weakly|resnet|weakly_resnet)_(ss)?psp": Counterpart(PSPNet),
    r"avel_\w+": Counterpart(AVELNet),
    r"avsdn_\w+": Counterpart(AVSDNNet),
    r"cmran_fully_\w+|cmran_original_full": Counterpart(CMRANNet, CMRAN_CLASSES),
    r"cmran_weakly_\w+": Counterpart(CMRANNet, CMRAN_CLASSES, {"interaction_heads": 2}),
    r"cmran_original_weak29": Counterpart(
        CMRANNet, CMRAN_CLASSES, {"interaction_heads": 2, "background_class": True}, has_background=True
    ),
    r"psp2021_full": Counterpart(PSP2021FullNet, "L2", has_background=True),
    r"psp2021_weak": Counterpart(PSP2021WeakNet, "L2", has_background=True),
    r"ave_att_(full|weak)": Counterpart(AVEAttentionNet, "L2", has_background=True),
    r"ave_dmrn_full": Counterpart(AVEResidualNet, "L2", has_background=True),
    r"cmbs_full": Counterpart(CMBSFullNet, CMRAN_CLASSES),
    r"cmbs_weak": Counterpart(
        CMBSWeakNet, "video_cas", {"gate": "released", "background_class": True}, has_background=True
    ),
    r"cacenet_full": Counterpart(CACENet, CMRAN_CLASSES),
    r"avvp_psp(_\w+)?": Counterpart(MMILPSPNet, "fc_prob"),
    r"avvp_han|han2020": Counterpart(HANNet, "fc_prob"),
}
"""Models of the sets by pattern."""


def join_streams(
    audio: torch.Tensor, appearance: torch.Tensor, motion: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return visual features and audio as our networks that parse take them, of those that the released ones take.

    Parameters
    ----------
    audio : torch.Tensor, shape (B, T, A)
    appearance : torch.Tensor, shape (B, VECTORS_PER_SEGMENT · T, C)
    motion : torch.Tensor, shape (B, T, M)
    """
    vectors = appearance.unflatten(1, (audio.shape[1], VECTORS_PER_SEGMENT)).flatten(2)
    return torch.cat([vectors, motion], dim=2), audio


def find_counterpart(model: str) -> Counterpart | None:
    """Return our network for a model of a set, or None where we have none, as for a block by itself."""
    found = [counterpart for pattern, counterpart in COUNTERPARTS.items() if re.fullmatch(pattern, model)]
    assert len(found) <= 1, model
    return found[0] if found else None


def counterpart_of(model: str) -> Counterpart:
    """Return our network for a model of a set."""
    found = find_counterpart(model)
    assert found is not None, model
    return found


def load_counterpart(model: str, spec: dict[str, Any], weights: dict[str, torch.Tensor], **settings: Any) -> nn.Module:
    """Build our network for a model of a set, with its released weights, in double precision, for evaluation."""
    network = counterpart_of(model).build(spec, **settings)
    translated = translate(weights, network)
    assert translated.missing == []
    assert translated.mismatched == []
    network.load_state_dict(translated.state)
    return network.double().eval()

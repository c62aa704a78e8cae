"""Our network for each model of the second set of golden vectors."""

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

READS_MAPS = re.compile(r"(affine_video|^v_fc)\.weight$")
"""The layer of a released network that the visual maps enter, each position as a row of channels."""
ANY_TAU = 0.1
"""Threshold of a network whose model names none; no weight depends on it."""
CONSTANTS = {"alpha": "alpha", "beta": "beta", "gamma": "gamma", "psai": "psi", "Lambda": "contrast_scale"}
"""Constants of the released constructors, to ours."""


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

    def build(self, spec: dict[str, Any]) -> nn.Module:
        """Build our network in the sizes of the model's parameters, all in single precision."""
        shapes = {param["key"].removeprefix(spec["prefix"]): param["shape"] for param in spec["params"]}
        (visual_channels,) = (shape[1] for key, shape in shapes.items() if READS_MAPS.search(key))
        (num_classes,) = (shape[0] for key, shape in shapes.items() if re.fullmatch(rf"{self.classes}\.weight", key))
        accepted = inspect.signature(self.ours).parameters
        has_tau = "tau" in accepted
        constants = {CONSTANTS[name]: value for name, value in spec.get("constructor", {}).items() if name in CONSTANTS}
        return self.ours(
            num_categories=num_classes - self.has_background,
            visual_channels=visual_channels,
            **({"tau": spec.get("threshold", ANY_TAU)} if has_tau else {}),
            **{name: value for name, value in constants.items() if name in accepted},
            **self.settings,
        )


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
}
"""Models of the set by pattern."""


def counterpart_of(model: str) -> Counterpart:
    """Return our network for a model of the set."""
    (found,) = (counterpart for pattern, counterpart in COUNTERPARTS.items() if re.fullmatch(pattern, model))
    return found


def load_counterpart(model: str, spec: dict[str, Any], weights: dict[str, torch.Tensor]) -> nn.Module:
    """Build our network for a model of the set, with its released weights, in double precision, for evaluation."""
    network = counterpart_of(model).build(spec)
    translated = translate(weights, network)
    assert translated.missing == []
    assert translated.mismatched == []
    network.load_state_dict(translated.state)
    return network.double().eval()

"""Weights of the released code, under the names of our networks.

A released checkpoint maps names such as ``module.psp.v_L1.weight`` to tensors. ``module.`` comes from the wrapper they
were trained under; the ResNet variants of PSP have one more ``psp.`` in front, as they hold the whole network in an
attribute of that name. Checkpoints also carry layers that no output depends on.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from models.localization.avel import AVELNet
from models.localization.avsdn import AVSDNNet
from models.localization.cmran import CMRANNet
from models.localization.propagation import PositiveSamplePropagation
from models.localization.psp import PSPNet


def _inside(theirs: str, ours: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of a part from outside: below `theirs` in the released network, below `ours` in this one."""
    return {f"{theirs}.{inner}": f"{ours}.{own}" for inner, own in names.items()}


_ATTENTION = {
    "affine_audio": "audio_projection",
    "affine_video": "visual_projection",
    "affine_v": "visual_hidden",
    "affine_g": "audio_hidden",
    "affine_h": "score",
}
_PROPAGATION = {
    "v_L1": "visual_value",
    "v_L2": "visual_key",
    "v_fc": "visual_output",
    "a_L1": "audio_key",
    "a_L2": "audio_value",
    "a_fc": "audio_output",
    "layer_norm": "layer_norm",
}
_HEADS = {"event_classifier.0": "heads.relevance", "category_classifier.0": "heads.category"}
_LSTMS = {"lstm_audio": "temporal.audio", "lstm_video": "temporal.visual"}

_PSP = {
    "fa": "audio_projection",
    "fv": "visual_projection",
    **_inside("attention", "attention", _ATTENTION),
    **{f"lstm_a_v.{theirs}": ours for theirs, ours in _LSTMS.items()},
    **_inside("psp", "propagation", _PROPAGATION),
    **_HEADS,
}
_AVEL = {
    **{theirs: f"attention.{ours}" for theirs, ours in _ATTENTION.items()},
    **_LSTMS,
    "U_v": "fusion.visual",
    "U_a": "fusion.audio",
    **_HEADS,
}
_AVSDN = {**_AVEL, "lstm_a_v": "joint", "U_v": "state_fusion.visual", "U_a": "state_fusion.audio"}

_FEED_FORWARD = {"linear1": "inner", "linear2": "outer", "norm1": "relation.layer_norm", "norm2": "layer_norm"}
_CHANNEL_SPATIAL = {
    "affine_video_1": "visual_channel",
    "affine_audio_1": "audio_channel",
    "affine_bottleneck": "bottleneck",
    "affine_v_c_att": "channel_score",
    "affine_video_2": "visual_spatial",
    "affine_audio_2": "audio_spatial",
    "affine_v_s_att": "spatial_score",
}
_ENCODER_LAYER = {"self_attn": "relation.attention", **_FEED_FORWARD}
_ENCODER = {
    "affine_matrix": "projection",
    **_inside("encoder.layers.0", "layers.0", _ENCODER_LAYER),
    **_inside("encoder.layers.1", "layers.1", _ENCODER_LAYER),
}
_DECODER = {
    "affine_matrix": "projection",
    **_inside("decoder.layers.0", "layer", {"multihead_attn": "relation.attention", **_FEED_FORWARD}),
}
_CMRAN = {
    "v_fc": "attention.visual_projection",
    **_inside("spatial_channel_att", "attention", _CHANNEL_SPATIAL),
    **_inside("video_encoder", "visual_encoder", _ENCODER),
    **_inside("audio_encoder", "audio_encoder", _ENCODER),
    **_inside("video_decoder", "visual_decoder", _DECODER),
    **_inside("audio_decoder", "audio_decoder", _DECODER),
    "AVInter.video_multihead": "interaction.attention",
    "AVInter.norm1": "interaction.layer_norm",
    "localize_module.classifier": "heads.relevance",
    "localize_module.event_classifier": "heads.category",
}

RELEASED_NAMES: Mapping[type[nn.Module], Mapping[str, str]] = {
    PSPNet: _PSP,
    PositiveSamplePropagation: _PROPAGATION,
    AVELNet: _AVEL,
    AVSDNNet: _AVSDN,
    CMRANNet: _CMRAN,
}
"""Where each layer of a released network lives in ours, by the class of ours."""


class Mismatch(NamedTuple):
    """A released tensor that does not fit its place.

    Attributes
    ----------
    name : str
        As released.
    found, expected : tuple of int
        Shape in the checkpoint and in the network.
    """

    name: str
    found: tuple[int, ...]
    expected: tuple[int, ...]


class TranslatedWeights(NamedTuple):
    """A released checkpoint under our names.

    Attributes
    ----------
    state : dict of str to torch.Tensor
        The tensors that fit into the network, by our names; dtypes are kept.
    ignored : list of str
        Released names of the tensors that have no place in it: layers that nothing depends on.
    missing : list of str
        Our names of the parameters that the checkpoint lacks.
    mismatched : list of Mismatch
        Tensors that have a place, of another shape.
    """

    state: dict[str, torch.Tensor]
    ignored: list[str]
    missing: list[str]
    mismatched: list[Mismatch]


def translate(released: Mapping[str, torch.Tensor], network: nn.Module) -> TranslatedWeights:
    """Rename a released state dict for :meth:`torch.nn.Module.load_state_dict`.

    Parameters
    ----------
    released : mapping of str to torch.Tensor
        State dict of a released checkpoint, with or without ``module.``.
    network : torch.nn.Module
        The network to load into, of a class in :data:`RELEASED_NAMES`; it is not changed.

    Returns
    -------
    TranslatedWeights
        Loadable when ``missing`` and ``mismatched`` are empty.

    Raises
    ------
    ValueError
        As :func:`translate_names`.
    """
    expected = network.state_dict()
    names = translate_names(released, network)
    state: dict[str, torch.Tensor] = {}
    mismatched = []
    for theirs, ours in names.items():
        found, place = tuple(released[theirs].shape), tuple(expected[ours].shape)
        if found == place:
            state[ours] = released[theirs]
        else:
            mismatched.append(Mismatch(theirs, found, place))
    present = set(names.values())
    return TranslatedWeights(
        state,
        ignored=[name for name in released if name not in names],
        missing=[name for name in expected if name not in present],
        mismatched=mismatched,
    )


def translate_names(released: Iterable[str], network: nn.Module) -> dict[str, str]:
    """Return our name of every released parameter that has a place in the network.

    Parameters
    ----------
    released : iterable of str
        Names in a released checkpoint, with or without ``module.``.
    network : torch.nn.Module
        Of a class in :data:`RELEASED_NAMES`.

    Raises
    ------
    ValueError
        If there is no released counterpart of the network, or two names stand for the same parameter.

    Examples
    --------
    >>> translate_names(["module.v_L1.weight", "module.L1.weight"], PositiveSamplePropagation(tau=0.1))
    {'module.v_L1.weight': 'visual_value.weight'}
    """
    table = RELEASED_NAMES.get(type(network))
    if table is None:
        known = ", ".join(each.__name__ for each in RELEASED_NAMES)
        raise ValueError(f"network: expected one with released weights ({known}), found {type(network).__name__}")
    inner = {name: name.removeprefix("module.") for name in released}
    if any(name.startswith("psp.psp.") for name in inner.values()):
        inner = {name: short.removeprefix("psp.") for name, short in inner.items()}
    places = network.state_dict().keys()
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name, short in inner.items():
        ours = _translate_name(short, table)
        if ours not in places:
            continue
        if ours in taken:
            raise ValueError(f"released weights: expected one {ours}, found both {taken[ours]} and {name}")
        names[name] = ours
        taken[ours] = name
    return names


def _translate_name(released: str, table: Mapping[str, str]) -> str:
    """Return our name of a released parameter, or an empty text.

    >>> _translate_name("psp.v_L1.weight", _PSP)
    'propagation.visual_value.weight'
    """
    for theirs, ours in table.items():
        if released.startswith(f"{theirs}."):
            return ours + released.removeprefix(theirs)
    return ""

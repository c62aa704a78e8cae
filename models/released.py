"""Weights of the released PSP and CPSP code, under the names of :class:`models.psp.PSPNet`.

A released checkpoint maps names such as ``module.psp.v_L1.weight`` to tensors. ``module.`` comes from the wrapper they
were trained under; the ResNet variants have one more ``psp.`` in front, as they hold the whole network in an
attribute of that name. Checkpoints also carry layers that no output depends on.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch

_NAMES = {
    "fa": "audio_projection",
    "fv": "visual_projection",
    "attention.affine_audio": "attention.audio_projection",
    "attention.affine_video": "attention.visual_projection",
    "attention.affine_v": "attention.visual_hidden",
    "attention.affine_g": "attention.audio_hidden",
    "attention.affine_h": "attention.score",
    "lstm_a_v.lstm_audio": "temporal.audio",
    "lstm_a_v.lstm_video": "temporal.visual",
    "psp.v_L1": "propagation.visual_value",
    "psp.v_L2": "propagation.visual_key",
    "psp.v_fc": "propagation.visual_output",
    "psp.a_L1": "propagation.audio_key",
    "psp.a_L2": "propagation.audio_value",
    "psp.a_fc": "propagation.audio_output",
    "psp.layer_norm": "propagation.layer_norm",
    "event_classifier.0": "heads.relevance",
    "category_classifier.0": "heads.category",
}


class TranslatedWeights(NamedTuple):
    """A released checkpoint under our names.

    Attributes
    ----------
    state : dict of str to torch.Tensor
        The tensors that have a place in the network, by our names; dtypes are kept.
    ignored : list of str
        Released names of the tensors that have none: layers that nothing depends on.
    missing : list of str
        Our names of the parameters that the checkpoint lacks.
    """

    state: dict[str, torch.Tensor]
    ignored: list[str]
    missing: list[str]


def translate(released: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> TranslatedWeights:
    """Rename a released state dict for :meth:`torch.nn.Module.load_state_dict`.

    Parameters
    ----------
    released : mapping of str to torch.Tensor
        State dict of a released checkpoint, with or without ``module.``.
    expected : mapping of str to torch.Tensor
        State dict of the network to load into, for the names that must be there.

    Returns
    -------
    TranslatedWeights
        Loadable when ``missing`` is empty.
    """
    state: dict[str, torch.Tensor] = {}
    ignored = []
    is_nested = any(key.removeprefix("module.").startswith("psp.psp.") for key in released)
    for key, tensor in released.items():
        inner = key.removeprefix("module.")
        ours = _translate_name(inner.removeprefix("psp.") if is_nested else inner)
        if ours in expected:
            state[ours] = tensor
        else:
            ignored.append(key)
    return TranslatedWeights(state, ignored, [name for name in expected if name not in state])


def _translate_name(released: str) -> str:
    """Return our name of a released parameter, or an empty text.

    >>> _translate_name("psp.v_L1.weight")
    'propagation.visual_value.weight'
    """
    for theirs, ours in _NAMES.items():
        if released.startswith(f"{theirs}."):
            return ours + released.removeprefix(theirs)
    return ""

"""Weights of the released code, under the names of our networks.

A released checkpoint maps names such as ``module.psp.v_L1.weight`` to tensors. ``module.`` comes from the wrapper they
were trained under; the ResNet variants of PSP have one more ``psp.`` in front, as they hold the whole network in an
attribute of that name. Checkpoints also carry layers that no output depends on. The class of each network says in
`released_names` which of its layers each released layer is.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import nn


def inside(theirs: str, ours: str, names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of a part, prefixed by its place: `theirs` in the released network, `ours` in this one.

    >>> inside("psp", "propagation", {"v_L1": "visual_value"})
    {'psp.v_L1': 'propagation.visual_value'}
    """
    prefix = f"{theirs}." if theirs else ""
    return {f"{prefix}{inner}": f"{ours}.{own}" for inner, own in names.items()}


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
        The tensors that fit into the network, by our names; dtypes are kept. The network's buffers are there as they
        are: they are no weights, and no checkpoint has them.
    ignored : list of str
        Released names of the tensors that have no place in it: layers that nothing depends on, and those in `unbuilt`.
    unbuilt : list of str
        Those of layers that networks of this class have for other features or settings.
    missing : list of str
        Our names of the parameters that the checkpoint lacks.
    mismatched : list of Mismatch
        Tensors that have a place, but another shape.
    """

    state: dict[str, torch.Tensor]
    ignored: list[str]
    unbuilt: list[str]
    missing: list[str]
    mismatched: list[Mismatch]


def translate(released: Mapping[str, torch.Tensor], network: nn.Module) -> TranslatedWeights:
    """Rename a released state dict for :meth:`torch.nn.Module.load_state_dict`.

    Parameters
    ----------
    released : mapping of str to torch.Tensor
        State dict of a released checkpoint, with or without ``module.``.
    network : torch.nn.Module
        The network to load into, of a class that has ``released_names``; it is not changed.

    Returns
    -------
    TranslatedWeights
        Loadable when ``missing`` and ``mismatched`` are empty.

    Raises
    ------
    ValueError
        As :func:`translate_names`.
    """
    expected = dict(network.named_parameters())
    names = translate_names(released, network)
    state = {name: value for name, value in network.state_dict().items() if name not in expected}
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
        unbuilt=[theirs for theirs, ours in _find_layers(released, network).items() if ours and theirs not in names],
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
        Of a class that has ``released_names``.

    Raises
    ------
    ValueError
        If there is no released counterpart of the network, or two names stand for the same parameter.

    Examples
    --------
    >>> from models.localization.propagation import PositiveSamplePropagation
    >>> translate_names(["module.v_L1.weight", "module.L1.weight"], PositiveSamplePropagation(tau=0.1))
    {'module.v_L1.weight': 'visual_value.weight'}
    """
    places = dict(network.named_parameters())
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name, ours in _find_layers(released, network).items():
        if ours not in places:
            continue
        if ours in taken:
            raise ValueError(f"released weights: expected one {ours}, found both {taken[ours]} and {name}")
        names[name] = ours
        taken[ours] = name
    return names


def _find_layers(released: Iterable[str], network: nn.Module) -> dict[str, str]:
    """Return our name of every released parameter, whether the network has it or not; an empty text if there is none.

    Raises
    ------
    ValueError
        If there is no released counterpart of the network.
    """
    table: Mapping[str, str] | None = getattr(type(network), "released_names", None)
    if table is None:
        raise ValueError(f"network: expected one with released weights, found {type(network).__name__}")
    inner = {name: name.removeprefix("module.") for name in released}
    if any(name.startswith("psp.psp.") for name in inner.values()):
        inner = {name: short.removeprefix("psp.") for name, short in inner.items()}
    return {name: _translate_name(short, table) for name, short in inner.items()}


def _translate_name(released: str, table: Mapping[str, str]) -> str:
    """Return our name of a released parameter, or an empty text.

    >>> _translate_name("psp.v_L1.weight", {"psp.v_L1": "propagation.visual_value"})
    'propagation.visual_value.weight'
    """
    for theirs, ours in table.items():
        if released.startswith(f"{theirs}."):
            return ours + released.removeprefix(theirs)
    return ""

"""Initial weights of the networks of this task.

The released code of each method starts some of its linear layers Xavier-uniform (Glorot and Bengio, AISTATS 2010) and
leaves the others as PyTorch starts them, uniform within 1/√(inputs of the layer). Each network lists the former.
Everything is drawn from the global generator, so ``torch.manual_seed`` before the constructor determines it.
"""

from torch import nn


def init_as_released(network: nn.Module) -> None:
    """Draw the weights of the linear layers in those parts that the network lists Xavier-uniform, in the listed order.

    Biases, LSTMs, the stacked projections of multi-head attention and all layers elsewhere stay as they are.

    Parameters
    ----------
    network : torch.nn.Module
        Of a class that has ``xavier_layers``, dotted names of its parts; changed in place.

    Raises
    ------
    ValueError
        If the class has no such list.
    """
    parts: tuple[str, ...] | None = getattr(type(network), "xavier_layers", None)
    if parts is None:
        raise ValueError(f"network: expected a class with xavier_layers, found {type(network).__name__}")
    for part in parts:
        init_xavier(network.get_submodule(part))


def init_xavier(network: nn.Module) -> None:
    """Draw the weights of all linear layers Xavier-uniform, in the modules' order; the rest stays as it is.

    No release starts all its layers so; runs before :func:`init_as_released` did.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)

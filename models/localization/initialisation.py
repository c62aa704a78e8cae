"""Initial weights of the networks of this task."""

from torch import nn


def init_linear_weights(network: nn.Module) -> None:
    """Draw the weights of all linear layers Xavier-uniform (Glorot and Bengio, AISTATS 2010), in the modules' order.

    Biases, LSTMs and the stacked projections of multi-head attention stay as PyTorch starts them. Everything is drawn
    from the global generator, so ``torch.manual_seed`` before the constructor determines it.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)

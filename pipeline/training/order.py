"""The batches of an epoch: in which order clips come, and whether the last batch may be smaller."""

import torch

from pipeline.methods.recipe import Recipe
from pipeline.training.dataset import Clips
from pipeline.training.loading import FeatureStore


def draw_batches(clips: Clips, store: FeatureStore, conduct: Recipe, batch_size: int) -> list[list[int]]:
    """Return the positions of the clips of each batch of an epoch, drawn from torch's global generator.

    Parameters
    ----------
    clips : Clips
        At least one.
    store : FeatureStore
        It shuffles so that features can be read.
    conduct : Recipe
        Its `order` and `drops_last_batch`; a batch that is the only one is never dropped.
    batch_size : int
        B.
    """
    if conduct.order == "shuffled":
        order = store.epoch_order(clips)
    else:
        order = torch.arange(len(clips))
        if conduct.order == "first_batch_drawn":
            order[:batch_size] = torch.randperm(len(clips))[:batch_size]
    batches: list[list[int]] = [positions.tolist() for positions in order.split(batch_size)]
    if conduct.drops_last_batch and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return batches

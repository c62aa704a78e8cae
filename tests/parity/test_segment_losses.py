"""The loss of PSP's first release for clips, and its targets for segments, in value and gradient."""

import numpy as np
import pytest
import torch

from models.localization.losses import similarity_share_loss
from models.localization.segment_losses import accumulate_targets, class_share_loss, event_share_targets


def compare(golden, found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=golden.relative, atol=golden.absolute)


def test_the_share_loss_and_its_gradient_agree_and_a_saturated_clip_costs_what_it_costs(golden_more):
    arrays = golden_more.arrays("psp2021_bce")
    probabilities, shares = (torch.from_numpy(arrays[name]) for name in ("probs", "prob_label"))
    saturated = ((probabilities == 0) | (probabilities == 1)).all(dim=1)
    assert saturated.tolist() == [False] * 4 + [True]
    compare(golden_more, class_share_loss(probabilities, shares), arrays["value_all5"])
    first = probabilities[:4].clone().requires_grad_()
    loss = class_share_loss(first, shares[:4])
    loss.backward()
    compare(golden_more, loss.item(), arrays["value_first4"])
    compare(golden_more, first.grad, arrays["grad_first4"])


def masks_of_lowest_class(labels: np.ndarray) -> torch.Tensor:
    """Return where the category of the smallest index is, of labels (B, T, C + 1), background last."""
    foreground = labels[:, :, :-1]
    lowest = foreground.any(axis=1).argmax(axis=1)
    return torch.from_numpy(np.take_along_axis(foreground, lowest[:, None, None], axis=2).squeeze(2))


@pytest.mark.parametrize("form", ["intended", "released"])
def test_targets_of_consecutive_batches_and_their_loss_agree(golden_more, form):
    arrays = golden_more.arrays("psp2021_targets")
    buffer = torch.zeros(arrays["labels"].shape[1:3])
    for number, labels in enumerate(arrays["labels"]):
        targets = event_share_targets(masks_of_lowest_class(labels))
        if form == "released":
            targets = accumulate_targets(buffer, targets)
        assert targets.dtype == torch.float32
        np.testing.assert_array_equal(targets, arrays[f"target_{form}"][number])
        similarity = torch.from_numpy(arrays["sim"][number]).requires_grad_()
        loss = similarity_share_loss(similarity, targets.double())
        loss.backward()
        compare(golden_more, loss.item(), arrays[f"loss_{form}"][number])
        compare(golden_more, similarity.grad, arrays[f"grad_sim_{form}"][number])

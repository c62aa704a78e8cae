"""The contrast of foreground and background in CACE-Net, in value and gradient."""

import numpy as np
import pytest
import torch

from models.localization.contrasts import foreground_contrast, row_contrasts


def compare(golden, found, expected, name: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=golden.relative, atol=golden.absolute, err_msg=name)


@pytest.mark.parametrize("clips", ["mixed", "one_clip"])
def test_the_contrast_agrees_by_row_and_in_its_gradients(golden_more, clips):
    arrays = golden_more.arrays("cacenet_contrastive")
    query, key = (torch.from_numpy(arrays[f"{clips}.{part}"]).double().requires_grad_() for part in ("query", "key"))
    events = torch.from_numpy(arrays[f"{clips}.event"])
    compare(golden_more, row_contrasts(query, key, events).detach(), arrays[f"{clips}.per_row"], "per_row")
    loss = foreground_contrast(query, key, events)
    compare(golden_more, loss.item(), arrays[f"{clips}.value"], "value")
    for part, gradient in zip(("query", "key"), torch.autograd.grad(loss, (query, key)), strict=True):
        compare(golden_more, gradient, arrays[f"{clips}.grad_{part}"], part)


@pytest.mark.parametrize("clips", ["mixed", "one_clip"])
def test_the_contrast_is_finite_in_single_precision_where_the_released_one_is_not(golden_more, clips):
    arrays = golden_more.arrays("cacenet_contrastive")
    assert np.isnan(arrays[f"{clips}.value_float32"])
    query, key, events = (torch.from_numpy(arrays[f"{clips}.{part}"]).float() for part in ("query", "key", "event"))
    loss = foreground_contrast(query.requires_grad_(), key.requires_grad_(), events)
    assert loss.item() == pytest.approx(arrays[f"{clips}.value"].item(), rel=1e-5)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (query, key)))

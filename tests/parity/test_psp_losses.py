"""The losses of PSP, CPSP and SSPSP against the released ones, in value and gradient; and the labels they take.

Where the released code returns not-a-number or fails, ours returns 0 with zero gradient: asserted here.
"""

import math

import numpy as np
import torch

from models.localization.losses import (
    label_free_nce,
    segment_contrast,
    similarity_share_loss,
    spsa_loss,
    vpsa_infonce_loss,
    vpsa_loss,
)


def evaluate(case: dict, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return our value of a released loss."""
    arguments = case["arguments"]
    match case["function"]:
        case "avps_loss":
            return similarity_share_loss(inputs["av_simm"], inputs["soft_label"])
        case "segment_contrastive_loss":
            events = inputs["event_flag"].double()
            return segment_contrast(
                inputs["fusion"],
                events,
                positives=inputs["pos_flag"].double(),
                negatives=inputs["neg_flag"].double(),
                temperature=arguments["t"],
                sum_axis=1,
                anchors=torch.ones_like(events),
            )
        case "video_contrastive_loss":
            return vpsa_loss(
                inputs["fusion"],
                inputs["class_labels"].flatten(),
                margin=arguments["margin"],
                num_negatives=arguments["neg_num"],
            )
        case "label_free_nce":
            return label_free_nce(inputs["fea_a"], inputs["fea_v"], temperature=arguments["t"])
        case "vcon_info_loss":
            return vpsa_infonce_loss(
                inputs["video_fea"].flatten(1, 2), inputs["target"], ratio=arguments["ratio"], eta=arguments["eta"]
            )
    raise AssertionError(case["function"])


def load_inputs(golden, name: str) -> tuple[dict, dict[str, torch.Tensor], dict[str, np.ndarray]]:
    """Return a case, its inputs with gradients where the set has them, and the arrays of all cases."""
    case, arrays = golden.json("losses")[name], golden.arrays("losses")
    inputs = {}
    for key in case["inputs"]:
        values = torch.from_numpy(arrays[f"{name}.{key}"])
        inputs[key] = values.double() if values.is_floating_point() else values
    for key in case["grads"]:
        inputs[key].requires_grad_()
    return case, inputs, arrays


def test_loss_and_gradient_agree(golden, loss_case):
    case, inputs, arrays = load_inputs(golden, loss_case)
    value = evaluate(case, inputs)
    value.backward()

    if case["function"] == "vcon_info_loss" and not math.isfinite(float(case["value"])):
        # One clip without anything to compare makes the released value not-a-number; ours is that of the others.
        assert math.isfinite(value.item())
        assert inputs["video_fea"].grad.isfinite().all()
        return
    if "raises" in case or not math.isfinite(float(case["value"])):
        assert value.item() == 0
        for key in case["grads"]:
            assert not inputs[key].grad.any()
        return
    np.testing.assert_allclose(value.item(), case["value"], rtol=golden.relative, atol=golden.absolute)
    if "compare the value only" in case.get("note", ""):
        return
    for key in case["grads"]:
        expected = arrays[f"{loss_case}.grad_{key}"]
        np.testing.assert_allclose(
            inputs[key].grad.numpy(), expected, rtol=golden.relative, atol=golden.absolute, err_msg=key
        )


def test_the_released_form_of_spsa_is_the_released_loss_on_flags_from_labels(golden, event_flags):
    compared = 0
    for name, listed in golden.json("losses").items():
        if listed["function"] != "segment_contrastive_loss":
            continue
        case, inputs, _ = load_inputs(golden, name)
        from_labels = event_flags(inputs["event_flag"].numpy())
        if all(np.array_equal(inputs[key], flags) for key, flags in from_labels.items()):
            value = spsa_loss(
                inputs["fusion"], inputs["event_flag"], temperature=case["arguments"]["t"], form="released"
            )
            torch.testing.assert_close(value, evaluate(case, inputs), rtol=golden.relative, atol=golden.absolute)
            compared += 1
    assert compared > 0


def test_labels_are_derived_as_in_the_released_code(golden, released_labels):
    arrays = golden.arrays("label_processing")
    derived = released_labels(arrays["labels"])
    for key in ("labels_BCE", "labels_evn", "labels_event", "event_flag", "pos_flag", "neg_flag", "soft_labels"):
        np.testing.assert_allclose(derived[key], arrays[key], rtol=golden.relative, atol=golden.absolute, err_msg=key)


def test_fractional_scores_are_truncated_to_flags(golden, event_flags):
    arrays = golden.arrays("label_processing")
    for key, flags in event_flags(arrays["frac_scores"]).items():
        np.testing.assert_array_equal(flags, arrays[f"frac_{key}"], err_msg=key)

"""The losses of parsing against the released ones, in value and gradient; and the first step of the trainings.

Where the released contrast of clips is not-a-number, the released form is 0 without gradient, as the released training
leaves it out there; the intended form is that of the other clips.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from avel_testing.counterparts import join_streams
from avel_testing.released_arrays import SIMILARITY_TEMPERATURE
from avel_testing.released_runs import Comparison, Record, copy_of
from models.localization.released import translate_names
from models.parsing.losses import parsing_vpsa_loss, smoothed_cross_entropy, synchrony_loss, tag_loss

# What the released code fixes where the sets have no entry.
VISUAL_SMOOTHING, SMOOTHING = 0.1, 0.1


def tensors(arrays: dict[str, np.ndarray], *names: str) -> list[Tensor]:
    """Return arrays in double precision, those of numbers with a gradient to come."""
    values = [torch.from_numpy(arrays[name]) for name in names]
    return [value.double().requires_grad_() if value.is_floating_point() else value for value in values]


def assert_agrees(golden, value: Tensor, expected: float | np.ndarray, gradients: dict[Tensor, np.ndarray]) -> None:
    np.testing.assert_allclose(value.item(), expected, rtol=golden.relative, atol=golden.absolute)
    value.backward()
    for leaf, there in gradients.items():
        np.testing.assert_allclose(leaf.grad, there, rtol=golden.relative, atol=golden.absolute)


def test_the_losses_of_tags_agree(golden_more):
    arrays = golden_more.arrays("llp_losses")
    tags = torch.from_numpy(arrays["han.target"])
    together, audio, visual = tensors(arrays, "han.global_prob", "han.a_prob", "han.v_prob")
    terms = {
        "audio": tag_loss(audio, tags),
        "visual": tag_loss(visual, tags, smoothing=VISUAL_SMOOTHING),
        "global": tag_loss(together, tags),
    }
    for name, value in terms.items():
        np.testing.assert_allclose(value.item(), arrays[f"han.{name}"], rtol=golden_more.relative, err_msg=name)
    leaves = {"grad_global": together, "grad_a": audio, "grad_v": visual}
    gradients = {leaf: arrays[f"han.{name}"] for name, leaf in leaves.items()}
    assert any((there == 0).any() for there in gradients.values())  # where a probability is clamped
    assert_agrees(golden_more, sum(terms.values()), arrays["han.total"], gradients)


def test_smoothed_cross_entropy_agrees(golden, smoothing_case):
    arguments, arrays = golden.json("losses")[smoothing_case]["arguments"], golden.arrays("losses")
    logits, classes = tensors(arrays, f"{smoothing_case}.pred", f"{smoothing_case}.target")
    # The released loss does not ask how many columns there are: for another number of classes, its targets sum to
    # another number than 1.
    own, elsewhere = 1 - arguments["smoothing"], arguments["smoothing"] / (arguments["classes"] - 1)
    whole = own + (logits.shape[1] - 1) * elsewhere
    value = whole * smoothed_cross_entropy(logits, classes, smoothing=1 - own / whole)
    gradients = {logits: arrays[f"{smoothing_case}.grad_pred"]}
    assert_agrees(golden, value, arrays[f"{smoothing_case}.value"], gradients)


def test_smoothed_cross_entropy_agrees_on_the_second_set(golden_more):
    arrays = golden_more.arrays("llp_losses")
    logits, classes = tensors(arrays, "smooth.pred", "smooth.target")
    value = smoothed_cross_entropy(logits, classes, smoothing=SMOOTHING)
    assert_agrees(golden_more, value, arrays["smooth.value"], {logits: arrays["smooth.grad"]})


def assert_forms_agree(
    golden, case: str, arrays: dict[str, np.ndarray], gradient: str, *, ratio: float, eta: float
) -> None:
    """Compare both forms of the contrast of clips with the released one, whose value may be not-a-number."""
    features, tags = (torch.from_numpy(arrays[f"{case}.{name}"]).double() for name in ("video_fea", "target"))
    features.requires_grad_()
    forms = ("intended", "released")
    found = {form: parsing_vpsa_loss(features, tags, ratio=ratio, eta=eta, form=form) for form in forms}
    expected = arrays[f"{case}.value"]
    if np.isfinite(expected):
        for value in found.values():
            features.grad = None
            assert_agrees(golden, value, expected, {features: arrays[f"{case}.{gradient}"]})
        return
    gradients = {form: torch.autograd.grad(value, features)[0] for form, value in found.items()}
    assert found["released"].item() == 0
    assert not gradients["released"].any()
    # The intended form has something to learn if a clip with tags meets another one that shares none of them.
    tagged = tags[tags.any(dim=1)]
    has_contrast = bool((tagged @ tagged.mT == 0).any())
    assert (found["intended"].item() > 0) == has_contrast
    assert gradients["intended"].any() == has_contrast
    assert gradients["intended"].isfinite().all()


def test_the_contrast_of_clips_agrees_in_either_form(golden, clip_contrast_case):
    settings = golden.json("losses")[clip_contrast_case]["arguments"]
    assert_forms_agree(golden, clip_contrast_case, golden.arrays("losses"), "grad_video_fea", **settings)


def test_the_contrast_of_clips_agrees_on_the_second_set(golden_more):
    (run,) = (run for run in golden_more.json("train").values() if "eta" in run)
    arrays = golden_more.arrays("llp_losses")
    names = [name.removesuffix(".video_fea") for name in arrays if name.endswith(".video_fea")]
    assert names
    for name in names:
        assert_forms_agree(golden_more, name, arrays, "grad", ratio=run["ratio"], eta=run["eta"])


def first_batch(training) -> tuple[Tensor, Tensor, Tensor]:
    """Return visual features, audio and tags of a training's first step."""
    if "targets" in training.arrays:
        visual, audio = training.model.inputs()
        return visual, audio, torch.from_numpy(training.arrays["targets"])
    inputs = training.golden.arrays("train_avvp_inputs")
    visual, audio = join_streams(
        *(torch.from_numpy(inputs[name]).double() for name in ("audio", "visual", "visual_st"))
    )
    first = slice(inputs["batch_sizes"][0])
    return visual[first], audio[first], torch.from_numpy(inputs["targets"])[first]


TERMS: dict[str, Callable[..., Tensor]] = {
    "audio": lambda found, tags, case: tag_loss(found.audio_probabilities, tags),
    "visual": lambda found, tags, case: tag_loss(found.visual_probabilities, tags, smoothing=VISUAL_SMOOTHING),
    "global": lambda found, tags, case: tag_loss(found.global_probabilities, tags),
    "smoothing": lambda found, tags, case: synchrony_loss(
        found.features[:, :, 0], found.visual_inputs, temperature=SIMILARITY_TEMPERATURE, smoothing=SMOOTHING
    ),
    "vcon": lambda found, tags, case: (
        case["lambda_v"]
        * parsing_vpsa_loss(found.features, tags, ratio=case["ratio"], eta=case["eta"], form="released")
    ),
}
OTHER_NAMES = {"video": "global", "sims": "smoothing"}
"""Terms that one of the sets calls otherwise."""


def test_the_first_step_of_a_training_agrees(parsing_training_case):
    training, golden = parsing_training_case, parsing_training_case.golden
    case, arrays, network = training.case, training.arrays, training.model.build()
    visual, audio, tags = first_batch(training)
    found = network(visual, audio)
    listed = {name.removeprefix("loss.") for name in arrays if name.startswith("loss.")} - {"total"}
    terms = {name: TERMS[OTHER_NAMES.get(name, name)](found, tags, case) for name in sorted(listed)}
    total = sum(terms.values())
    total.backward()

    names = translate_names([str(name) for name in arrays["param_names"]], network)
    record = Record(names, None, found, copy_of(network), {name: value.item() for name, value in terms.items()})
    record.terms["total"] = total.item()
    record.gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    comparison = Comparison(record, arrays, golden.relative, golden.absolute)
    comparison.check_terms({name: name for name in record.terms})
    comparison.check_gradients()

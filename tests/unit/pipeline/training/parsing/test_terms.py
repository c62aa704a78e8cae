from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from models.parsing.losses import parsing_vpsa_loss, synchrony_loss, tag_loss
from pipeline.core.fingerprints import import_closure
from pipeline.methods.registry import METHODS, methods_of
from pipeline.training.objective import terms_of, weigh
from pipeline.training.parsing.labels import TagLabels
from pipeline.training.parsing.terms import TERMS

TAGS = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


@pytest.fixture
def output() -> SimpleNamespace:
    torch.manual_seed(0)
    return SimpleNamespace(
        audio_probabilities=torch.rand(4, 3),
        visual_probabilities=torch.rand(4, 3),
        global_probabilities=torch.rand(4, 3),
        features=torch.randn(4, 5, 2, 8),
        visual_inputs=torch.randn(4, 5, 8),
    )


@pytest.mark.parametrize("method", methods_of("parsing"))
def test_what_a_method_says_of_itself_fits_together(method: str) -> None:
    chosen = METHODS[method]
    assert chosen.supervisions == ("weak",)
    assert set(chosen.terms["weak"]) <= TERMS.keys()
    assert type(chosen.published["weak"]) is chosen.settings.model_fields["weak"].annotation
    for module in chosen.modules("weak"):
        assert import_closure(module)


def test_the_terms_are_the_losses_of_the_paper_with_their_settings(
    make_parsing_params: Callable, output: SimpleNamespace
) -> None:
    block = "train.mmil_cpsp.weak"
    params = make_parsing_params(
        **{
            f"{block}.audio_smoothing": 0.2,
            f"{block}.visual_smoothing": 0.3,
            f"{block}.synchrony.temperature": 0.5,
            f"{block}.synchrony.smoothing": 0.4,
            f"{block}.synchrony.weight": 2.0,
            f"{block}.vpsa.weight": 3.0,
            f"{block}.vpsa.ratio": 0.5,
            f"{block}.vpsa.eta": 0.7,
        }
    )
    losses = weigh(terms_of("mmil_cpsp", "weak", params.train.settings), output, TagLabels(TAGS))
    expected = {
        "audio": tag_loss(output.audio_probabilities, TAGS, smoothing=0.2),
        "visual": tag_loss(output.visual_probabilities, TAGS, smoothing=0.3),
        "global": tag_loss(output.global_probabilities, TAGS),
        "synchrony": synchrony_loss(output.features[:, :, 0], output.visual_inputs, temperature=0.5, smoothing=0.4),
        "vpsa": parsing_vpsa_loss(output.features, TAGS, ratio=0.5, eta=0.7, form="intended"),
    }
    assert losses.terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses.terms[name], value)
    weights = {"synchrony": 2.0, "vpsa": 3.0}
    torch.testing.assert_close(losses.total, sum(weights.get(name, 1.0) * value for name, value in expected.items()))


@pytest.mark.parametrize(("form", "is_left_out"), [("released", True), ("intended", False)])
def test_the_form_says_what_a_clip_without_negatives_leaves_out(
    form: str, is_left_out: bool, make_parsing_params: Callable, output: SimpleNamespace
) -> None:
    params = make_parsing_params(**{"train.mmil_cpsp.weak.vpsa.form": form})
    everywhere = TAGS.clone()
    everywhere[2] = True  # this clip shares a tag with every other
    (vpsa,) = (term for term in terms_of("mmil_cpsp", "weak", params.train.settings) if term.name == "vpsa")
    assert (vpsa.compute(output, TagLabels(everywhere)).item() == 0) == is_left_out
    assert vpsa.compute(output, TagLabels(TAGS)).item() > 0


def test_a_term_of_weight_0_is_not_computed(make_parsing_params: Callable) -> None:
    params = make_parsing_params(
        **{"train.mmil_cpsp.weak.vpsa.weight": 0.0, "train.mmil_cpsp.weak.synchrony.weight": 0.0}
    )
    names = [term.name for term in terms_of("mmil_cpsp", "weak", params.train.settings)]
    assert names == [term.name for term in terms_of("han", "weak", params.train.han.weak)]

"""Trainings of the networks that parse, through the product's own loop, against every step of the released ones.

Selection needs labels of segments, which the sets have none of: any score will do.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn

from avel_testing.counterparts import join_streams, visual_sizes
from avel_testing.released_runs import Comparison, Record, Store, copy_of
from models.localization.released import translate_names
from pipeline.params.schema import TrainParams, params_of_task
from pipeline.training.checkpoints import new_checkpoint
from pipeline.training.dataset import ClipBatch, Splits
from pipeline.training.loop import Run
from pipeline.training.parsing.dataset import TaggedClips

PRESET = Path(__file__).parents[2] / "data" / "llp" / "preset.yaml"
TERMS = {"global": "global", "video": "global", "smoothing": "synchrony", "sims": "synchrony", "vcon": "vpsa"}
"""Our terms by their released names; audio, visual and the total are called alike."""


class StepwiseRun(Run):
    """A run that remembers every step, and the first gradients; nothing is scored."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rows: list[dict[str, float]] = []
        self.before: dict[str, Tensor] = {}
        self.weights: list[dict[str, Tensor]] = []
        self.gradients: dict[str, Tensor] = {}

    def _step(self, terms: Sequence[Any], batch: ClipBatch, positions: Sequence[int]) -> Tensor:
        row = super()._step(terms, batch, positions)
        names = ("total", *(term.name for term in terms), "norm")
        self.rows.append(dict(zip(names, row.tolist(), strict=True)))
        self.weights.append(copy_of(self.network))
        if len(self.rows) == 1:
            self.gradients = {
                name: parameter.grad.clone()
                for name, parameter in self.network.named_parameters()
                if parameter.grad is not None
            }
        return row

    def _score(self, labelled: Any, number: int) -> float:
        return float(number)


def train_params(method: str, case: dict[str, Any], batch_size: int, num_epochs: int) -> TrainParams:
    """Return the preset's params, with what the case says and in the released form."""
    content = YAML(typ="safe", pure=True).load(PRESET)
    content["train"] |= {"method": method, "precision": "float64"}
    block = content["train"][method]["weak"]
    assert (block["learning_rate"], block["max_gradient_norm"]) == (case["lr"], case["clip"])
    block |= {"batch_size": batch_size, "num_epochs": num_epochs, "milestones": []}
    if method == "mmil_cpsp":
        assert (block["vpsa"]["ratio"], block["vpsa"]["eta"]) == (case["ratio"], case["eta"])
        assert block["tau"] == case.get("threshold", block["tau"])
        block["vpsa"] |= {"form": "released", "weight": case["lambda_v"]}
    return params_of_task(content).model_validate(content).train


def clips_of(training: Any) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return visual features, audio and tags of all clips of a training, and the size of its batches."""
    if "targets" in training.arrays:
        visual, audio = training.model.inputs()
        tags = torch.from_numpy(training.arrays["targets"]).bool()
        return visual, audio, tags, len(tags)
    inputs = training.golden.arrays("train_avvp_inputs")
    streams = (torch.from_numpy(inputs[name]).double() for name in ("audio", "visual", "visual_st"))
    return *join_streams(*streams), torch.from_numpy(inputs["targets"]).bool(), int(inputs["batch_sizes"][0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Callable[[Any], StepwiseRun]:
    """Return a function that trains as a case did, once."""
    runs: dict[str, StepwiseRun] = {}

    def run_case(training: Any) -> StepwiseRun:
        key = f"{training.golden.folder}{training.name}"
        if key not in runs:
            runs[key] = train_as(training, tmp_path_factory.mktemp("run"))
        return runs[key]

    return run_case


def train_as(training: Any, scratch: Path) -> StepwiseRun:
    case = training.case
    visual, audio, tags, batch_size = clips_of(training)
    num_batches = -(-len(tags) // batch_size)
    num_epochs = -(-case["steps"] // num_batches)
    # A step without batch numbers takes the batches in their order.
    order = case.get("batch_of_step", [step % num_batches for step in range(case["steps"])])
    assert order == [step % num_batches for step in range(case["steps"])]
    params = train_params("han" if "han" in case["model"] else "mmil_cpsp", case, batch_size, num_epochs)
    network = training.model.build()
    names = tuple(str(number) for number in range(len(tags)))
    dataset = SimpleNamespace(
        categories=tuple(str(number) for number in range(tags.shape[1])),
        network_inputs={**visual_sizes(training.model.spec), "audio_features": audio.shape[-1]},
        visual=SimpleNamespace(index=SimpleNamespace(recipe={})),
        audio=SimpleNamespace(index=SimpleNamespace(recipe={})),
    )
    clips = TaggedClips(names, names, tags, tags.shape[1], None, None)
    store = Store(visual, audio, shuffles=False)
    run = StepwiseRun(
        params, Splits(clips, None, None), new_checkpoint(params, dataset), store, torch.device("cpu"), scratch
    )
    run.network.load_state_dict(network.state_dict())
    for module in run.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    run.before = copy_of(run.network)
    for _ in range(num_epochs):
        run.epoch()
    return run


def comparison_of(training: Any, run: StepwiseRun) -> Comparison:
    names = translate_names([str(name) for name in training.arrays["param_names"]], run.network)
    record = Record(names, None, None, run.before, dict(run.rows[0]), run.gradients, run.weights[0])
    record.terms.pop("norm")
    return Comparison(record, training.arrays, training.golden.relative, training.golden.absolute)


def test_the_first_step_agrees_in_terms_gradients_and_update(parsing_training_case, trained):
    comparison = comparison_of(parsing_training_case, trained(parsing_training_case))
    listed = {name.removeprefix("loss.") for name in parsing_training_case.arrays if name.startswith("loss.")}
    comparison.check_terms({name: TERMS.get(name, name) for name in listed})
    comparison.check_gradients()
    comparison.check_update()


def test_every_step_agrees_in_loss_and_gradient(parsing_training_case, trained):
    run, arrays = trained(parsing_training_case), parsing_training_case.arrays
    steps = parsing_training_case.case["steps"]
    comparison = comparison_of(parsing_training_case, run)
    comparison.compare([row["total"] for row in run.rows[:steps]], arrays["loss_trajectory"], "loss")
    if "total_grad_norm" in arrays:
        comparison.compare([row["norm"] for row in run.rows[:steps]], arrays["total_grad_norm"], "gradient")
    if "components" in arrays:
        names = [TERMS.get(str(name), str(name)) for name in arrays["component_names"]]
        expected = arrays["components"]  # not-a-number is left out, which adds 0
        found = [[row[name] for name in names] for row in run.rows]
        comparison.compare(found, np.nan_to_num(expected, nan=0.0), "components")
        assert np.isnan(expected).any()


def test_the_weights_after_the_last_step_agree(parsing_training_case, trained):
    run, arrays = trained(parsing_training_case), parsing_training_case.arrays
    steps = parsing_training_case.case["steps"]
    comparison = comparison_of(parsing_training_case, run)
    after, names = run.weights[steps - 1], comparison.record.names
    if f"param_norm_after_{steps}" not in arrays:
        pytest.skip("the set has no weights after the last step of this training")
    used = [str(key) for key in arrays["param_names"] if str(key) in names]
    norms = dict(zip(map(str, arrays["param_names"]), arrays[f"param_norm_after_{steps}"], strict=True))
    for key in used:
        comparison.compare(after[names[key]].norm(), norms[key], key)
    prefix = f"param_after_{steps}."
    for name in (name for name in arrays if name.startswith(prefix)):
        comparison.compare(after[names[name.removeprefix(prefix)]], arrays[name], name)

"""``params.yaml``: every fault is found before any work, all at once, each by its full key."""

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import NoneType
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from pipeline.core.errors import ParamsError
from pipeline.core.sections import Section, flatten
from pipeline.params.schema import LocalizationParams, Params, ParsingParams, load_params

ROOT = Path(__file__).resolve().parents[4]
PRESET = ROOT / "data" / "synthetic" / "preset.yaml"


def keys_of(section: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the full key of every value that `section` declares."""
    keys = set()
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys |= keys_of(field.annotation, f"{prefix}{name}.")
        else:
            keys.add(prefix + name)
    return keys


CLASSES = {"synthetic": LocalizationParams, "synthetic_parsing": ParsingParams}
CONTENTS = {name: YAML(typ="safe", pure=True).load(ROOT / "data" / name / "preset.yaml") for name in CLASSES}
CONTENT = CONTENTS["synthetic"]
EVERY_KEY = [(preset, key) for preset, params in CLASSES.items() for key in sorted(keys_of(params))]
MISSING = object()


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Params]:
    """Return a loader of the synthetic preset with changed values: ``load({"train.seed": 3})``."""

    def load_changed(changes: dict[str, Any], preset: str = "synthetic") -> Params:
        content = deepcopy(CONTENTS[preset])
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = content
            for section in sections:
                place = place[section]
            place.pop(last, None)
            if value is not MISSING:
                place[last] = value
        path = tmp_path / "params.yaml"
        YAML(typ="safe").dump(content, path)  # in C, where that is installed
        return load_params(path)

    return load_changed


@pytest.mark.parametrize("preset", CLASSES)
def test_the_preset_has_every_key_and_no_other_and_comes_through_unchanged(preset):
    content = flatten(CONTENTS[preset])
    assert content.keys() == keys_of(CLASSES[preset])
    params = load_params(ROOT / "data" / preset / "preset.yaml")
    assert type(params) is CLASSES[preset]
    assert flatten(params.model_dump()) == content


@pytest.mark.parametrize(("preset", "key"), EVERY_KEY)
def test_every_key_is_required_and_named_when_missing(preset, key, load):
    with pytest.raises(ParamsError, match=rf"has 1 faulty key: {key}: expected a value, found none$"):
        load({key: MISSING}, preset)


@pytest.mark.parametrize(("preset", "key"), EVERY_KEY)
def test_no_key_takes_a_value_of_another_type(preset, key, load):
    value = flatten(CONTENTS[preset])[key]
    wrong = 3 if isinstance(value, str | NoneType | list) else "text"
    if key.endswith(("max_gradient_norm", "tables.num_epochs")):
        wrong = "text"
    with pytest.raises(ParamsError, match=rf"has 1 faulty key: {key}: .*, found {wrong!r}$"):
        load({key: wrong}, preset)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.seed", 1.5, r"train\.seed: expected a valid integer, found 1\.5"),
        ("train.seed", True, r"train\.seed: expected a valid integer, found True"),
        ("train.seed", -1, r"train\.seed: expected greater than or equal to 0, found -1"),
        ("train.seed", 2**32, r"train\.seed: expected less than 4294967296"),
        ("train.method", "CPSP", r"train\.method: expected 'ave_att', .*'cmbs' or 'cacenet', found 'CPSP'"),
        ("train.cpsp.full.learning_rate", 0, r"train\.cpsp\.full\.learning_rate: expected greater than 0"),
        (
            "train.cpsp.full.learning_rate",
            float("nan"),
            r"train\.cpsp\.full\.learning_rate: expected a finite number, found nan",
        ),
        (
            "train.cpsp.full.spsa.temperature",
            float("inf"),
            r"train\.cpsp\.full\.spsa\.temperature: expected a finite number",
        ),
        (
            "train.cpsp.full.vpsa.num_negatives",
            0,
            r"train\.cpsp\.full\.vpsa\.num_negatives: expected greater than or equal to 1",
        ),
        ("train.cpsp.weak.tau", 1.2, r"train\.cpsp\.weak\.tau: expected less than or equal to 1"),
        ("train.psp.weak.vpsa", {"weight": 1.0}, r"train\.psp\.weak\.vpsa: expected no such key"),
        (
            "train.weak.background_clips",
            "on",
            r"train\.weak\.background_clips: expected 'auto', True or False, found 'on'",
        ),
        ("train.num_seeds", 0, r"train\.num_seeds: expected greater than or equal to 1"),
        ("train.cache", "disk", r"train\.cache: expected 'auto', 'gpu', 'ram' or 'stream', found 'disk'"),
        ("evaluate.confidence", 1, r"evaluate\.confidence: expected less than 1"),
        ("dataset.segment_seconds", 0.5, r"dataset\.segment_seconds: expected greater than or equal to 0\.96"),
        ("dataset.name", "../elsewhere", r"dataset\.name: .*pattern.*, found '\.\./elsewhere'"),
        ("dataset.name", "a/b", r"dataset\.name: "),
        ("dataset.name", "", r"dataset\.name: "),
        ("extract.device", "gpu", r"extract\.device: .*cuda.*, found 'gpu'"),
        ("visual.weights_sha256", "123", r"visual\.weights_sha256: .*, found '123'"),
        ("train.cpsp.full", 3, r"train\.cpsp\.full: "),
        ("train", None, r"train: "),
        ("report.colour", "red", r"report\.colour: expected no such key, found 'red'"),
        ("train.cpsp.full.spsa.wieght", 1.0, r"train\.cpsp\.full\.spsa\.wieght: expected no such key"),
        ("extra", {"a": 1}, r"extra: expected no such key, found \{'a': 1\}"),
    ],
)
def test_a_fault_is_one_line_with_key_expectation_and_value(key, value, message, load):
    with pytest.raises(ParamsError, match=rf"params\.yaml has 1 faulty key: {message}") as caught:
        load({key: value})
    assert "\n" not in str(caught.value)


def test_all_faults_are_reported_at_once(load):
    faults = {
        "train.cpsp.full.spsa.form": "papers",
        "visual.storage": MISSING,
        "audio.storge": "float16",
        "report": None,
    }
    with pytest.raises(ParamsError, match="has 4 faulty keys: ") as caught:
        load(faults)
    for key in ("train.cpsp.full.spsa.form: ", "visual.storage: ", "audio.storge: ", "report: "):
        assert f" {key}" in str(caught.value)


@pytest.mark.parametrize(
    ("milestones", "is_right"),
    [([], True), ([5], True), ([5, 20, 40], True), ([20, 5], False), ([5, 5], False), ([0], False), ([5, "x"], False)],
)
def test_milestones_are_increasing_epochs(milestones, is_right, load):
    changes = {"train.cpsp.weak.milestones": milestones}
    if is_right:
        assert load(changes).train.cpsp.weak.milestones == milestones
    else:
        with pytest.raises(ParamsError, match=r"train\.cpsp\.weak(\.milestones)?[.:\d]"):
            load(changes)


@pytest.mark.parametrize("text", ["0.0005", "5e-4", "5E-04", "5.0e-4", "1e-05", "1"])
def test_a_number_may_be_written_in_any_way(text, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PRESET.read_text().replace("learning_rate: 0.001", f"learning_rate: {text}"))
    assert load_params(path).train.cpsp.full.learning_rate == float(text)


def test_on_and_no_are_words(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PRESET.read_text().replace("name: synthetic ", "name: on "))
    assert load_params(path).dataset.name == "on"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"train: [1", r"expected YAML 1\.2, found .*line 1"),
        (b"train: 1\ntrain: 2\n", r"expected YAML 1\.2, found .*duplicate key"),
        (b"train:\n\t- 1\n", r"expected YAML 1\.2, found "),
        (b"\xff\xfe\xff", r"expected YAML 1\.2, found "),
        (b"train: \xff\n", r"expected YAML 1\.2, found "),
        (b"a: !!python/object/apply:os.system ['touch it_ran']\n", r"expected YAML 1\.2, found .*constructor"),
        (b"", "expected sections such as `train:`, found NoneType"),
        (b"- a\n", "expected sections such as `train:`, found list"),
        (b"text", "expected sections such as `train:`, found str"),
    ],
)
def test_what_is_no_mapping_of_sections_is_refused_in_one_line(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ParamsError, match=rf"params\.yaml: {message}") as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "it_ran").exists()


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(ParamsError, match=r"found no readable file; run from the repository's root, or write it with"):
        load_params(tmp_path / "params.yaml")


def test_snippets_cannot_be_stacked_and_say_so_in_one_line(load):
    message = (
        r"has 1 faulty key: visual\.combine: expected 'mean' for r2plus1d_18, which sees all frames .*, found 'stack'$"
    )
    with pytest.raises(ParamsError, match=message):
        load({"visual.backbone": "r2plus1d_18", "visual.combine": "stack"})
    assert load({"visual.backbone": "resnet152_pooled", "visual.combine": "stack"}).visual.combine == "stack"


MOTION = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 18}


def test_a_motion_stream_goes_with_a_backbone_of_frames(load):
    visual = load({"visual.backbone": "resnet152_pooled", "visual.combine": "stack", "visual.motion": MOTION}).visual
    assert visual.motion.model_dump() == MOTION
    for changes, message in (
        (
            {"visual.motion": {**MOTION, "backbone": "resnet152_pooled"}},
            r"1 faulty key: visual\.motion\.backbone: expected r2plus1d_18, which sees .*, found 'resnet152_pooled'$",
        ),
        (
            {"visual.motion": MOTION, "visual.backbone": "r2plus1d_18"},
            r"has 1 faulty key: visual\.backbone: expected vgg19 \| resnet101 \| .* where visual\.motion is set, "
            r"which is the stream of snippets, found 'r2plus1d_18'$",
        ),
        (
            {"visual.motion": {key: value for key, value in MOTION.items() if key != "weights_seed"}},
            r"has 1 faulty key: visual\.motion\.weights_seed: expected a value, found none$",
        ),
    ):
        with pytest.raises(ParamsError, match=message):
            load(changes)


@pytest.mark.parametrize("seconds", [0.96, 1.5, 2])
def test_continuous_patches_go_with_segments_of_one_second(seconds, load):
    changes = {"audio.alignment": "continuous", "dataset.segment_seconds": seconds}
    message = r"has 1 faulty key: audio\.alignment: expected 'segment' where dataset\.segment_seconds is \d\.\d+, not 1"
    with pytest.raises(ParamsError, match=rf"{message}, found 'continuous'$"):
        load(changes)
    assert load({**changes, "dataset.segment_seconds": 1}).audio.alignment == "continuous"
    assert load({**changes, "audio.alignment": "segment"}).dataset.segment_seconds == seconds


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rows", ["../x"], r"tables\.rows\.0: .*found '\.\./x'"),
        ("rows", [], r"tables\.rows: .*at least 1"),
        ("rows", ["cpsp_full", "cpsp_full"], r"tables\.rows: expected each once"),
        ("seeds", [], r"tables\.seeds: .*at least 1"),
        ("seeds", [1, 2, 1], r"tables\.seeds: expected each once, found \[1, 2, 1\]"),
        ("num_epochs", 0, r"tables\.num_epochs"),
    ],
)
def test_the_tables_are_chosen_by_rows_and_seeds_each_once(key, value, message, load):
    with pytest.raises(ParamsError, match=message):
        load({f"tables.{key}": value})


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_more_negatives_than_a_batch_can_hold_are_refused_unless_they_are_not_used(supervision, load):
    changes = {f"train.cpsp.{supervision}.batch_size": 3, f"train.cpsp.{supervision}.vpsa.num_negatives": 3}
    with pytest.raises(
        ParamsError, match=rf"train\.cpsp\.{supervision}\.vpsa\.num_negatives: expected fewer than a batch has clips, 3"
    ):
        load(changes)
    load({**changes, f"train.cpsp.{supervision}.vpsa.weight": 0.0})


@pytest.mark.parametrize("supervision", ["full", "weak"])
def test_more_negatives_than_a_batch_of_the_common_schedule_can_hold_are_refused(supervision, load):
    key = f"train.cpsp.{supervision}.vpsa.num_negatives"
    common = f"train.common.{supervision}"
    changes = {"train.supervision": supervision, "train.recipe": "common", f"{common}.batch_size": 3, key: 3}
    expected = f"fewer than a batch has clips, 3, or this loss is always 0, with the schedule of {common}"
    with pytest.raises(ParamsError, match=re.escape(f"1 faulty key: {key}: expected {expected}, found 3")):
        load(changes)
    assert load({**changes, f"{common}.batch_size": 4}).train.settings.batch_size == 4
    load({**changes, "train.recipe": "authors"})
    load({**changes, "train.method": "psp"})


def test_nested_settings_get_dotted_keys() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}


@pytest.mark.parametrize("format", ["synthetic", "vggsound_avel", "csv"])
def test_labels_were_released_for_ave_alone(format: str, load) -> None:
    changes = {"dataset.labels": "released", "dataset.format": format}
    message = (
        rf"has 1 faulty key: dataset\.labels: expected annotations where dataset\.format is {format}: .*'released'$"
    )
    with pytest.raises(ParamsError, match=message):
        load(changes)
    assert load(changes | {"dataset.format": "ave"}).dataset.labels == "released"


@pytest.mark.parametrize(("preset", "task"), [("synthetic", "parsing"), ("synthetic_parsing", "localization")])
def test_another_task_than_that_of_the_methods_is_one_fault(preset, task, load):
    with pytest.raises(ParamsError, match=rf"has 1 faulty key: dataset\.task: expected \w+, whose methods .*'{task}'$"):
        load({"dataset.task": task}, preset)


def test_a_method_of_the_other_task_is_refused_by_name(load):
    with pytest.raises(ParamsError, match=r"train\.method: expected 'han', 'mmil_psp' or 'mmil_cpsp', found 'cpsp'$"):
        load({"train.method": "cpsp"}, "synthetic_parsing")
    with pytest.raises(ParamsError, match=r"train\.method: expected 'ave_att', .*, found 'han'$"):
        load({"train.method": "han"})


def test_formats_are_those_of_the_task(load):
    with pytest.raises(ParamsError, match=r"dataset\.format: expected synthetic \| llp \| csv where .* found 'ave'$"):
        load({"dataset.format": "ave"}, "synthetic_parsing")
    with pytest.raises(ParamsError, match=r"dataset\.format: expected synthetic \| ave \| .* found 'llp'$"):
        load({"dataset.format": "llp"})


def test_parsing_adds_no_background_clips(load):
    with pytest.raises(ParamsError, match=r"train\.weak\.background_clips: expected 'auto' or False, found True$"):
        load({"train.weak.background_clips": True}, "synthetic_parsing")
    assert load({"train.weak.background_clips": False}, "synthetic_parsing").train.weak.background_clips is False
    assert load({"train.weak.background_clips": True}).train.weak.background_clips is True


def test_a_value_in_the_place_of_a_block_is_named_without_class_names(load):
    with pytest.raises(ParamsError, match=r"visual\.motion: expected a block of keys, found 'r2plus1d_18'$"):
        load({"visual.motion": "r2plus1d_18"}, "synthetic_parsing")

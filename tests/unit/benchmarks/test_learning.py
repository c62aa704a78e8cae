"""The generated data set of ``benchmarks/learning.py``, and the benchmark on a few clips."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import learning
from benchmarks.learning import (
    ABSENT,
    CATEGORIES,
    DATA_SEED,
    DISTRACTORS,
    LABEL,
    PAIRS,
    ROOT,
    ROWS,
    Difficulty,
    World,
    clips_per_split,
    main,
    make_or_reuse_data,
    plan_clips,
    plan_row,
)
from pipeline.params.overriding import override
from pipeline.params.schema import Params, load_params
from pipeline.tables.plans import Plan
from pipeline.tables.records import failed, write_record
from pipeline.training.dataset import load_dataset

DIFFICULTY = Difficulty()
FEW = 0.01
CLIPS = list(plan_clips(DATA_SEED, 1.0, DIFFICULTY))


@pytest.fixture
def params() -> Params:
    return load_params(ROOT / "data/ave/preset.yaml")


@pytest.fixture
def world() -> World:
    return World(DATA_SEED, DIFFICULTY)


def stacked(name: str) -> np.ndarray:
    """Return a field of all clips, (N, T)."""
    return np.array([getattr(clip, name) for clip in CLIPS])


def test_the_splits_have_the_sizes_of_ave_and_those_that_score_shrink_last() -> None:
    assert clips_per_split(1.0) == {"train": 3339, "val": 402, "test": 402}
    assert clips_per_split(0.25) == {"train": 835, "val": 402, "test": 402}
    assert clips_per_split(0.125) == {"train": 417, "val": 201, "test": 201}
    assert len({clip.clip_id for clip in CLIPS}) == len(CLIPS) == 4143


def test_background_lengths_and_categories_are_as_often_as_planned() -> None:
    events = stacked("events")
    assert 0.16 < 1 - events.mean() < 0.18
    assert events.all(1).mean() == pytest.approx(0.664, abs=0.02)
    assert events.sum(1).min() == 2
    assert (np.abs(np.diff(np.pad(events.astype(int), ((0, 0), (1, 1))))).sum(1) == 2).all(), "one stretch per clip"
    short = events[~events.all(1)]
    assert short[:, 0].mean() == pytest.approx(0.36, abs=0.04)
    assert short[:, -1].mean() == pytest.approx(0.46, abs=0.04)
    assert len({clip.category for clip in CLIPS}) == len(CATEGORIES)


def test_events_are_seen_and_heard_and_background_never_is_both() -> None:
    events, seen, heard = stacked("events"), stacked("seen"), stacked("heard")
    own = np.array([clip.category for clip in CLIPS])[:, None]
    both = (seen == own) & (heard == own)
    np.testing.assert_array_equal(both, events)


def test_every_kind_of_distractor_is_in_the_background_as_often_as_planned() -> None:
    background, seen, heard = ~stacked("events"), stacked("seen"), stacked("heard")
    own = np.array([clip.category for clip in CLIPS])[:, None]

    def kinds(shown: np.ndarray) -> dict[str, np.ndarray]:
        return {"none": shown == ABSENT, "own": shown == own, "other": (shown != own) & (shown != ABSENT)}

    for (eyes, ears), share in DISTRACTORS.items():
        found = kinds(seen)[eyes] & kinds(heard)[ears]
        assert found[background].mean() == pytest.approx(share, abs=0.02), (eyes, ears)


def test_some_segments_are_ambiguous() -> None:
    relative = np.array([clip.strengths / clip.strengths.max(1, keepdims=True) for clip in CLIPS])
    assert (relative < 0.5).mean() == pytest.approx(DIFFICULTY.ambiguous_share, abs=0.01)
    strongest = np.array([clip.strengths.max(1) for clip in CLIPS])
    assert DIFFICULTY.faintest <= strongest.min() < strongest.max() <= 1


def test_features_are_rectified_sparse_and_exact_in_float16(world: World) -> None:
    maps = np.stack([world.maps(clip) for clip in CLIPS[:20]])
    sounds = np.stack([world.sound(clip) for clip in CLIPS[:300]])
    assert maps.shape[1:] == (10, 7, 7, 512)
    assert sounds.shape[1:] == (10, 128)
    assert (maps.dtype, sounds.dtype) == (np.float16, np.float32)
    assert maps.min() == sounds.min() == 0
    assert 0.75 < (maps == 0).mean() < 0.85
    assert 0.63 < (sounds == 0).mean() < 0.68
    assert sounds[sounds > 0].mean() == pytest.approx(0.35, abs=0.03)
    np.testing.assert_array_equal(sounds, sounds.astype(np.float16))


def test_a_clip_is_the_same_in_every_data_set_of_a_seed() -> None:
    few = list(plan_clips(DATA_SEED, FEW, DIFFICULTY))
    alike = {clip.clip_id: clip for clip in CLIPS}
    for clip in few:
        for name in ("category", "events", "seen", "heard", "strengths"):
            np.testing.assert_array_equal(getattr(clip, name), getattr(alike[clip.clip_id], name))
    first, second, other = World(0, DIFFICULTY), World(0, DIFFICULTY), World(1, DIFFICULTY)
    for kind in ("maps", "sound"):
        np.testing.assert_array_equal(getattr(first, kind)(few[3]), getattr(second, kind)(few[3]))
        assert (getattr(first, kind)(few[3]) != getattr(other, kind)(few[3])).any()
        assert (getattr(first, kind)(few[3]) != getattr(first, kind)(few[4])).any()


def test_an_object_is_in_some_positions_of_the_segments_that_show_it(world: World) -> None:
    clip = next(clip for clip in CLIPS if 0 < (clip.seen != ABSENT).sum() < 10)
    without = replace(clip, seen=np.full(10, ABSENT))
    differs = (world.maps(clip) != world.maps(without)).any(-1)
    np.testing.assert_array_equal(differs.any((1, 2)), clip.seen != ABSENT)
    positions = differs.any(0)
    rows, columns = positions.any(1), positions.any(0)
    np.testing.assert_array_equal(positions, rows[:, None] & columns)
    assert 4 <= positions.sum() <= 16


def test_clips_of_a_category_look_and_sound_alike(world: World) -> None:
    whole = [clip for clip in CLIPS if clip.events.all()]
    groups = [[clip for clip in whole if clip.category == category][:20] for category in (0, 1)]
    for features, patterns in ((world.maps, world.looks), (world.sound, world.sounds)):
        means = [np.mean([features(clip).reshape(-1, patterns.shape[1]) for clip in group], (0, 1)) for group in groups]
        assert np.corrcoef(means[0] - means[1], patterns[0] - patterns[1])[0, 1] > 0.3


def test_the_data_set_is_made_once_and_other_settings_are_refused(params: Params, tmp_path: Path) -> None:
    make_or_reuse_data(tmp_path, params, DATA_SEED, FEW, DIFFICULTY)
    dataset = load_dataset(params, tmp_path / "prepared", tmp_path / "features")
    assert [len(split) for split in (dataset.train, dataset.val, dataset.test)] == [33, 16, 16]
    planned = list(plan_clips(DATA_SEED, FEW, DIFFICULTY))
    np.testing.assert_array_equal(dataset.train.events.numpy(), [clip.events for clip in planned[:33]])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make_or_reuse_data(tmp_path, params, DATA_SEED, FEW, DIFFICULTY)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(SystemExit, match="name another folder, or delete it"):
        make_or_reuse_data(tmp_path, params, DATA_SEED, 2 * FEW, DIFFICULTY)


def test_rows_differ_from_the_authors_recipe_where_they_say(params: Params) -> None:
    trained = {name: override(params, plan_row(name, params, None).values, subject=name).train for name in ROWS}
    assert {name: row.initialisation for name, row in trained.items() if row.initialisation != "released"} == {
        "xavier": "xavier"
    }
    assert {name for name, row in trained.items() if row.method == "psp_cpsp"} == {"psp_cpsp"}
    assert trained["spsa_released"].settings.spsa.form == "released"
    assert trained["spsa_weight_1"].settings.spsa.weight == 1
    base = trained["cpsp"]
    assert (base.settings, base.recipe, base.supervision) == (params.train.cpsp.full, "authors", "full")
    assert {name for pair in PAIRS for name in (pair.first, pair.second)} == set(ROWS)


def test_fewer_epochs_scale_the_milestones(params: Params) -> None:
    for name, method in (("cpsp", "cpsp"), ("psp_cpsp", "psp_cpsp")):
        values = plan_row(name, params, 15).values
        assert (values[f"train.{method}.full.num_epochs"], values[f"train.{method}.full.milestones"]) == (
            15,
            [3, 7, 10],
        )
    assert plan_row("cpsp", params, 1).values["train.cpsp.full.milestones"] == [1]


def test_a_run_without_a_score_ends_the_benchmark(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(params: Params, plan: Plan, seed: int, prepared: Path, features: Path, output: Path) -> None:
        write_record(output, failed(plan.row, seed, "the loss is not finite"), None)

    monkeypatch.setattr(learning, "run_row", fail)
    with pytest.raises(SystemExit, match="cpsp, seed 3: the loss is not finite"):
        learning.run_timed(params, plan_row("cpsp", params, 1), 3, tmp_path, tmp_path / "runs")


@pytest.mark.slow
def test_it_trains_compares_and_goes_on_from_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_ROOT", "")  # main sets it for good
    command = [
        "--fraction", str(FEW), "--num-epochs", "1", "--num-seeds", "2", "--folder", str(tmp_path), "--device", "cpu"
    ]  # fmt: skip
    main(command)
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(lines[-1])
    assert LABEL in lines[0]
    assert figures["label"] == LABEL
    assert set(figures["rows"]) == set(ROWS)
    scored = [clip.events for clip in plan_clips(DATA_SEED, FEW, DIFFICULTY) if clip.split == "test"]
    assert figures["always_background"] == pytest.approx(100 * (1 - np.mean(scored)))
    assert list(figures["comparisons"]) == [f"{pair.first} - {pair.second}" for pair in PAIRS]
    for comparison in figures["comparisons"].values():
        assert comparison["low"] <= comparison["difference"] <= comparison["high"]
        assert 0 < comparison["p_value"] <= 1
    sentences = [line for line in lines if line.startswith("    ") and " points " in line]
    assert len(sentences) == len(PAIRS)

    states = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("state.pt")}
    assert len(states) == 2 * len(ROWS)
    main(command)
    again = capsys.readouterr().out.splitlines()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("state.pt")} == states
    assert json.loads(again[-1])["comparisons"] == figures["comparisons"]

"""Parsing through DVC: the embedded set's rendered files, and a miniature of LLP as its authors distribute it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.annotations.llp import CATEGORIES
from pipeline.synthetic.rendering import render

SCORES = ("segment_audio", "segment_visual", "segment_audio_visual", "segment_type_at_av", "event_type_at_av")
NAMES = CATEGORIES[:3]
NUM_SEGMENTS = 10
SIZES = {"train": 48, "val": 9, "test": 12}


def use(workspace: object, preset: str, **changes: object) -> None:
    """Put a preset in place as ``python -m pipeline use`` does, and replace some of its values."""
    workspace.run("python", "-m", "pipeline", "use", preset)
    workspace.set_params(**changes)


def metrics_of(workspace: object) -> dict[str, float]:
    return json.loads((workspace.path / "results/evaluate/metrics.json").read_text())


def ran(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


@pytest.fixture(scope="module")
def rendered(make_workspace: Callable) -> object:
    """The graph after its first run on a rendered data set of twelve clips."""
    workspace = make_workspace()
    render(workspace.path / "data/tiny/raw", "parsing", num_clips=12, seed=5)
    use(
        workspace,
        "synthetic_parsing",
        **{
            "dataset.name": "tiny",
            "evaluate.num_resamples": 100,
            "report.num_clips": 2,
            **{f"train.{method}.weak.num_epochs": 2 for method in ("han", "mmil_cpsp")},
            **{f"train.{method}.weak.milestones": [1] for method in ("han", "mmil_cpsp")},
        },
    )
    workspace.run("dvc", "add", "--quiet", "data/tiny/raw")
    workspace.commit()
    workspace.first = workspace.run("dvc", "repro").stdout
    workspace.commit()
    return workspace


def test_one_command_leads_from_videos_to_the_report(rendered) -> None:
    assert ran(rendered.first) == {"prepare", "extract_audio", "extract_visual", "train", "evaluate", "report"}
    metrics = metrics_of(rendered)
    for name in SCORES:
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
    assert metrics["num_clips"] == metrics["num_clips_expected"] > 0
    page = (rendered.path / "results/report/index.html").read_text()
    assert "andom" in page.split("</header>")[0], "random weights are not announced"
    assert "Type@AV" in page


def test_a_second_run_has_nothing_to_do(rendered) -> None:
    assert ran(rendered.run("dvc", "repro").stdout) == set()


def test_another_method_and_another_gate_run_what_follows_from_them(rendered) -> None:
    done = rendered.run("dvc", "exp", "run", "--set-param", "train.method=han")
    assert ran(done.stdout) == {"train", "evaluate", "report"}
    assert "own_gate_segment_audio" in metrics_of(rendered)
    done = rendered.run("dvc", "exp", "run", "--set-param", "train.method=han", "--set-param", "evaluate.gate=own")
    assert ran(done.stdout) == {"evaluate", "report"}
    assert "global_gate_segment_audio" in metrics_of(rendered)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.method=cpsp", "train.method: expected 'han', 'mmil_psp' or 'mmil_cpsp', found 'cpsp'"),
        ("train.supervision=full", "train.supervision: expected weak: "),
        ("evaluate.gate=both", "evaluate.gate: expected 'authors', 'global' or 'own', found 'both'"),
        ("dataset.format=ave", "dataset.format: expected synthetic | llp | csv where dataset.task is parsing"),
        ("train.mmil_cpsp.weak.vpsa.eta=0.0001", "train.mmil_cpsp.weak.vpsa.eta: "),
    ],
)
def test_a_faulty_param_is_named_in_one_line_before_any_work(rendered, change: str, said: str) -> None:
    key, _, value = change.partition("=")
    before = (rendered.path / "params.yaml").read_bytes()
    rendered.set_params(**{key: YAML(typ="safe").load(value)})
    done = rendered.run("python", "-m", "pipeline", "check", check=False)
    (rendered.path / "params.yaml").write_bytes(before)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert len(lines) == 1
    assert said in lines[0]


def write_llp(raw: Path) -> None:
    """Write lists, annotations and features in the layout of LLP: what is heard and seen shows in the features."""
    generator = np.random.default_rng(0)
    events: dict[str, list[tuple[str, int, int, str]]] = {"audio": [], "visual": []}
    for split, size in SIZES.items():
        listed = []
        for number in range(size):
            video_id = f"{split:-<6}{number:05d}"
            name = f"{video_id}_{number}_{number + 10}"
            heard, seen = NAMES[number % 3], NAMES[number // 3 % 3]
            spans = [(int(start), int(start) + 5) for start in generator.integers(0, 6, 2)]
            write_features(raw / "features", video_id, (heard, seen), spans, generator)
            listed.append((name, ",".join(dict.fromkeys((heard, seen)))))
            if split != "train":
                for modality, category, span in zip(events, (heard, seen), spans, strict=True):
                    events[modality].append((name, *span, category))
        suffix = "" if split == "train" else "_pd"
        write_rows(raw / f"AVVP_{split}{suffix}.csv", ("filename", "event_labels"), listed)
    for modality, rows in events.items():
        write_rows(raw / f"AVVP_eval_{modality}.csv", ("filename", "onset", "offset", "event_labels"), rows)


def write_features(
    folder: Path, video_id: str, names: tuple[str, str], spans: list[tuple[int, int]], generator: np.random.Generator
) -> None:
    shapes = {"vggish": (10, 128), "res152": (80, 2048), "r2plus1d_18": (10, 512)}
    (heard, seen), (sound, picture) = (NAMES.index(name) for name in names), spans
    for name, shape in shapes.items():
        values = generator.random(shape, np.float32)
        category, span = (heard, sound) if name == "vggish" else (seen, picture)
        per_segment = shape[0] // NUM_SEGMENTS
        values[span[0] * per_segment : span[1] * per_segment, 40 * category : 40 * category + 40] += 3
        (folder / name).mkdir(parents=True, exist_ok=True)
        np.save(folder / name / f"{video_id}.npy", values)


def write_rows(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([header, *rows])


@pytest.fixture(scope="module")
def llp(make_workspace: Callable) -> object:
    workspace = make_workspace()
    write_llp(workspace.path / "data/llp/raw")
    block = "train.mmil_cpsp.weak"
    use(
        workspace,
        "llp",
        **{
            "evaluate.num_resamples": 100,
            "report.num_clips": 2,
            "extract.shard_size": 16,
            f"{block}.num_epochs": 25,
            f"{block}.milestones": [20],
            f"{block}.learning_rate": 0.001,
            f"{block}.batch_size": 8,
        },
    )
    workspace.run("dvc", "repro")
    return workspace


def test_the_released_files_of_llp_lead_to_scores_above_everything_and_nothing(llp) -> None:
    metrics = metrics_of(llp)
    assert metrics["num_clips"] == metrics["num_clips_expected"] == SIZES["test"]
    references = [metrics[f"{name}_segment_type_at_av"] for name in ("everything", "nothing")]
    assert metrics["segment_type_at_av"] > max(references) + 10, "nothing was learnt from the features"
    page = (llp.path / "results/report/index.html").read_text()
    assert "Random network weights" not in page
    audit = llp.run("python", "-m", "pipeline", "audit").stdout
    assert f"train {SIZES['train']} of {SIZES['train']}" in audit


def test_a_missing_feature_file_is_a_row_of_the_ledger_by_name(llp) -> None:
    path = llp.path / "data/llp/raw/features/res152/test--00003.npy"
    content = path.read_bytes()
    path.unlink()
    llp.set_params(**{"dataset.min_coverage": 0.5, "visual.max_failed_fraction": 0.5})
    done = llp.run("dvc", "repro", "train", check=False)
    ledger = (llp.path / "data/llp/features/visual/ledger.csv").read_text()
    path.write_bytes(content)
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in ledger.splitlines() if line.startswith("test--00003"))
    assert "failed" in row
    assert "res152" in row

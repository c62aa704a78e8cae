"""The graph as a user runs it: DVC, real files, the real networks with random weights, few clips and epochs."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.synthetic.rendering import render

STAGES = ["prepare", "extract_audio", "extract_visual", "train", "evaluate", "report"]
RESULTS = [
    "results/train/weights.safetensors",
    "results/train/history.csv",
    "results/evaluate/metrics.json",
    "results/evaluate/per_class.csv",
    "results/evaluate/confusion.csv",
    "results/evaluate/predictions.csv",
    "results/report/index.html",
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    render(folder, "localization", num_clips=9, seed=5)
    return folder


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable, raw: Path) -> Iterator:
    """The graph after its first run, on a data set of nine clips that DVC tracks."""
    workspace = make_workspace()
    (workspace.path / "data/tiny").mkdir()
    raw.rename(workspace.path / "data/tiny/raw")
    workspace.set_params(
        **{
            "dataset.name": "tiny",
            "train.cpsp.full.num_epochs": 2,
            "train.cpsp.full.milestones": [1],
            "train.cpsp.weak.num_epochs": 2,
            "train.cpsp.weak.milestones": [1],
            "evaluate.num_resamples": 200,
            "report.num_clips": 2,
            "extract.shard_size": 4,
        }
    )
    workspace.run("dvc", "add", "--quiet", "data/tiny/raw")
    workspace.commit()
    workspace.first = workspace.run("dvc", "repro").stdout
    workspace.commit()
    return workspace


def ran(output: str) -> list[str]:
    return sorted(line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage"))


def test_one_command_leads_from_videos_to_the_report(workspace) -> None:
    assert ran(workspace.first) == sorted(STAGES)
    for name in RESULTS:
        assert (workspace.path / name).stat().st_size > 0, name
    metrics = json.loads((workspace.path / "results/evaluate/metrics.json").read_text())
    assert 0 <= metrics["segment_accuracy"] <= 100
    assert metrics["num_clips"] == metrics["num_clips_expected"] > 0
    page = (workspace.path / "results/report/index.html").read_text()
    assert "andom" in page.split("</header>")[0], "random weights are not announced"


def test_a_second_run_has_nothing_to_do(workspace) -> None:
    output = workspace.run("dvc", "repro").stdout
    assert ran(output) == []
    assert "up to date" in output


def test_git_sees_no_generated_file_but_the_lock_and_the_scores(workspace) -> None:
    tracked = workspace.run("git", "ls-files").stdout.split()
    generated = [name for name in tracked if name.startswith(("results/", "data/")) and "/raw" not in name]
    kept = {"README.md", "preset.yaml", "dvc.yaml", ".gitignore", "metrics.json"}
    assert [name for name in generated if Path(name).name not in kept] == []
    assert "dvc.lock" in tracked
    assert "results/evaluate/metrics.json" in tracked


def test_a_changed_training_param_reruns_training_and_what_follows(workspace) -> None:
    workspace.set_params(**{"train.cpsp.full.tau": 0.08})
    assert ran(workspace.run("dvc", "repro").stdout) == ["evaluate", "report", "train"]
    workspace.set_params(**{"train.cpsp.full.tau": 0.099})
    assert ran(workspace.run("dvc", "repro").stdout) == [], "the first run was not found in the run cache"


def test_a_param_of_the_other_supervision_trains_nothing_again(workspace) -> None:
    weights = workspace.read("results/train/*.safetensors")
    workspace.set_params(**{"train.cpsp.weak.tau": 0.08})
    done = workspace.run("dvc", "repro")
    assert "evaluate" not in ran(done.stdout)
    assert "0 of 2 epochs to go" in done.stderr + done.stdout
    assert workspace.read("results/train/*.safetensors") == weights
    workspace.set_params(**{"train.cpsp.weak.tau": 0.095})


def test_faulty_params_are_all_named_before_any_work(workspace) -> None:
    before = (workspace.path / "params.yaml").read_text()
    text = before.replace("num_segments: 10", "num_segments: ten").replace("supervision: full", "supervision: strong")
    (workspace.path / "params.yaml").write_text(text.replace("    tau: 0.099\n", "    tua: 0.099\n"))
    done = workspace.run("python", "-m", "stages.prepare", "--raw=x", "--output=y", check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for key in ("dataset.num_segments", "train.supervision", "train.cpsp.full.tau", "train.cpsp.full.tua"):
        assert key in done.stderr
    repro = workspace.run("dvc", "repro", check=False)
    assert repro.returncode != 0
    assert done.stderr.strip() in repro.stderr + repro.stdout
    (workspace.path / "params.yaml").write_text(before.replace("supervision: full", "supervision: strong"))
    repro = workspace.run("dvc", "repro", check=False)
    assert "train.supervision: expected 'full' or 'weak', found 'strong'" in repro.stderr + repro.stdout
    (workspace.path / "params.yaml").write_text(before)
    assert ran(workspace.run("dvc", "repro").stdout) == []


def test_experiments_vary_params_and_are_listed_with_their_scores(workspace) -> None:
    workspace.run("dvc", "exp", "run", "--name", "weak", "-S", "train.supervision=weak")
    workspace.run(
        "dvc", "exp", "run", "--name", "psp", "--temp", "-S", "train.method=psp", "-S", "train.supervision=full"
    )
    shown = json.loads(workspace.run("dvc", "exp", "show", "--json").stdout)
    experiments = {e["name"]: e["revs"][0]["data"] for e in shown[1]["experiments"] or []} if len(shown) > 1 else {}
    assert {"weak", "psp"} <= set(experiments)
    for experiment in experiments.values():
        scores = experiment["metrics"]["results/evaluate/metrics.json"]["data"]
        assert 0 <= scores["segment_accuracy"] <= 100
    assert experiments["weak"]["params"]["params.yaml"]["data"]["train"]["supervision"] == "weak"
    assert experiments["psp"]["params"]["params.yaml"]["data"]["train"]["method"] == "psp"
    difference = json.loads(workspace.run("dvc", "metrics", "diff", "--json", "--all", "HEAD", "weak").stdout)
    assert difference["results/evaluate/metrics.json"]
    plots = json.loads(workspace.run("dvc", "plots", "show", "--json").stdout)["data"]
    assert {"score", "confusion"} <= set(plots)
    assert any(name.endswith("train_loss.tsv") for name in plots)
    workspace.run("git", "checkout", "--quiet", "--", "params.yaml", "dvc.lock", "results/evaluate/metrics.json")
    workspace.run("dvc", "checkout", "--quiet", "dvc.yaml")


def test_kill_minus_nine_during_extraction_and_a_rerun_give_the_same_shards(workspace) -> None:
    features = workspace.path / "data/tiny/features/visual"
    before = workspace.read("data/tiny/features/visual/*")
    assert any(name.endswith(".h5") for name in before)
    scratch = workspace.path / "data/.work/extract_visual"
    command = [
        "python",
        "-m",
        "stages.extract",
        "--modality",
        "visual",
        "--raw=data/tiny/raw",
        "--prepared=data/tiny/prepared",
        "--output=killed",
    ]
    scratch.rename(scratch.with_name("finished"))
    for wanted in (1, 5):
        process = workspace.start(*command)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            finished = len(list(scratch.glob("*/parts/*.safetensors"))) + 4 * len(list(scratch.glob("*/shards/*.json")))
            if finished >= wanted:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        assert process.wait() == -signal.SIGKILL, "finished before it was killed"
    rerun = workspace.run(*command)
    assert "9 videos, 9 to compute" not in rerun.stderr, "nothing of the killed runs was used"
    after = {name.replace("killed/", "data/tiny/features/visual/"): b for name, b in workspace.read("killed/*").items()}
    assert after == before
    assert features.is_dir()


def test_artifacts_travel_through_a_remote_to_a_fresh_clone(
    workspace, make_workspace: Callable, tmp_path: Path
) -> None:
    workspace.run("dvc", "remote", "add", "--quiet", "--default", "local", str(tmp_path / "remote"))
    workspace.commit()
    workspace.run("dvc", "push", "--quiet", "dvc.yaml", "data/tiny/raw.dvc")
    clone = tmp_path / "clone"
    workspace.run("git", "clone", "--quiet", str(workspace.path), str(clone))
    other = object.__new__(type(workspace))
    other.path = clone
    other.run("dvc", "pull", "--quiet", "dvc.yaml", "data/tiny/raw.dvc")
    assert ran(other.run("dvc", "repro").stdout) == []
    assert (clone / "results/report/index.html").is_file()

"""The tables as a user makes them: DVC, the real networks, few epochs on features that are made up here."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.core.files import sha256_of_file
from pipeline.features.recipes import feature_recipe
from pipeline.params.schema import load_params
from pipeline.store.manifest import Clip, Manifest, VideoFile
from pipeline.store.shards import ShardFile, ShardIndex, ShardRow, write_shard

CATEGORIES = ("bell", "siren")
NUM_CLIPS, NUM_SEGMENTS = 16, 10
SLOW_EPOCHS = 25
ROW = {"method": "cpsp", "supervision": "full"}
ABLATIONS = {
    "diverging": {
        **ROW,
        "label": "Diverging",
        "changes": {
            "train.cpsp.full.batch_size": 4,
            "train.cpsp.full.learning_rate": 1e30,
            "train.cpsp.full.max_gradient_norm": None,
        },
    },
    "slow": {**ROW, "label": "Slow", "changes": {"train.cpsp.full.num_epochs": SLOW_EPOCHS}},
}
TABLES = {"made_up": {"title": "Made up", "base": "cpsp_full", "rows": ["cpsp_full", "diverging", "slow"]}}
SELECTION = {"rows": ["cpsp_full", "diverging"], "seeds": [1, 2], "num_epochs": 2}


def write_data(folder: Path, params_file: Path) -> None:
    """Write ``prepared/`` and ``features/`` as the graph would, of clips that nobody has filmed."""
    generator = np.random.default_rng(0)
    clips, rows = [], {"visual": [], "audio": []}
    for number in range(NUM_CLIPS):
        clip_id, mask = f"clip{number:02d}", np.arange(NUM_SEGMENTS) < 5
        text = "".join("01"[int(flag)] for flag in mask)
        split = ("train", "train", "val", "test")[number // len(CATEGORIES) % 4]
        category = number % len(CATEGORIES)
        clips.append(Clip(clip_id, clip_id, f"videos/{clip_id}.mp4", CATEGORIES[category], text, split))
        for modality, shape in (("visual", (7, 7, 8)), ("audio", (128,))):
            features = generator.random((NUM_SEGMENTS, *shape), np.float32)
            features[mask, ..., category] += 2
            rows[modality].append(ShardRow(clip_id, f"{number:064x}", features, np.ones(NUM_SEGMENTS, bool)))
    videos = tuple(VideoFile(clip.video_id, clip.path, 1, f"{i:064x}") for i, clip in enumerate(clips))
    Manifest(tuple(clips), videos, CATEGORIES).save(folder / "prepared")
    params = load_params(params_file)
    for modality, listed in rows.items():
        target = folder / "features" / modality
        write_shard(target / "shard-00000.h5", listed, {"modality": modality})
        shard = ShardFile("shard-00000.h5", sha256_of_file(target / "shard-00000.h5"), NUM_CLIPS)
        index = ShardIndex(modality, feature_recipe(params, modality), "random", NUM_CLIPS, (shard,))
        index.save(target)
    (folder / "raw").mkdir()
    (folder / "raw/note").write_text("no videos\n")


def select(workspace: Any, **changes: object) -> None:
    workspace.set_params(**{f"tables.{key}": value for key, value in {**SELECTION, **changes}.items()})


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable) -> Iterator:
    """The tables after their first run: a row that trains and one that cannot, two seeds each."""
    workspace = make_workspace()
    workspace.set_params(**{"dataset.name": "tiny", "evaluate.num_resamples": 200})
    write_data(workspace.path / "data/tiny", workspace.path / "params.yaml")
    YAML().dump({"ablations": ABLATIONS, "tables": TABLES}, workspace.path / "tables/rows.yaml")
    select(workspace)
    workspace.run("dvc", "commit", "--quiet", "--force", "prepare", "extract_visual", "extract_audio")
    workspace.commit()
    workspace.first = workspace.run("dvc", "repro", "tables/dvc.yaml").stdout
    workspace.commit()
    return workspace


def ran(output: str) -> list[str]:
    found = (line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage"))
    return [name.removeprefix("tables/dvc.yaml:") for name in found]


def record(workspace: Any, run: str) -> dict[str, Any]:
    return json.loads((workspace.path / f"results/tables/tiny/runs/{run}/record.json").read_text())


def rendered(workspace: Any, name: str) -> str:
    return (workspace.path / "results/tables/tiny/rendered" / name).read_text()


def test_one_command_trains_and_renders_and_a_failed_run_stops_nothing(workspace) -> None:
    rows = ["rows@cpsp_full-1", "rows@cpsp_full-2", "rows@diverging-1", "rows@diverging-2"]
    assert ran(workspace.first) == ["plan", *rows, "render"]
    for seed in (1, 2):
        assert record(workspace, f"cpsp_full-{seed}")["reason"] == ""
        assert record(workspace, f"diverging-{seed}")["reason"].startswith("loss in epoch 1")
    table = rendered(workspace, "made_up.md")
    assert re.search(r"^\| CPSP \| 2 \| 4 of 4 \| [\d.]+ ± [\d.]+ \| ", table, re.MULTILINE)
    assert "| Diverging | 0 of 2 | – | no score |" in table
    assert "- Diverging, seed 1: loss in epoch 1" in table
    for caveat in ("Random network weights", "The embedded data set", "Other training settings"):
        assert caveat in table
    page = rendered(workspace, "index.html")
    assert "--single-item tables/dvc.yaml:rows@diverging-1 tables/dvc.yaml:rows@diverging-2" in page
    assert "78.6†" in page


def test_a_second_run_has_nothing_to_do(workspace) -> None:
    output = workspace.run("dvc", "repro", "tables/dvc.yaml").stdout
    assert ran(output) == []
    assert "up to date" in output


def test_git_sees_only_the_lock_and_the_main_graph_nothing_of_the_tables(workspace) -> None:
    tracked = workspace.run("git", "ls-files", "tables", "results").stdout.split()
    files = ["README.md", "dvc.lock", "dvc.yaml", "reported.yaml", "rows.yaml"]
    assert tracked == [f"tables/{name}" for name in files]
    select(workspace, seeds=[1, 2, 3])
    assert "plan" in ran(workspace.run("dvc", "repro", "--dry", "--single-item", "tables/dvc.yaml:plan").stdout)
    output = workspace.run("dvc", "repro", "--dry", check=False).stdout  # It stops where an output is not there yet.
    assert ran(output) == ["train"]
    assert "tables/" not in output
    select(workspace)


def test_a_faulty_row_is_refused_before_anything_is_trained(workspace) -> None:
    before = (workspace.path / "tables/rows.yaml").read_text()
    (workspace.path / "tables/rows.yaml").write_text(before.replace("full.learning_rate", "full.learning_rat"))
    done = workspace.run("dvc", "repro", "tables/dvc.yaml", check=False)
    assert done.returncode != 0
    fault = "row diverging has 1 faulty key: train.cpsp.full.learning_rat: expected no such key"
    assert fault in done.stdout + done.stderr
    assert ran(done.stdout) == ["plan"]
    (workspace.path / "tables/rows.yaml").write_text(before)
    assert ran(workspace.run("dvc", "repro", "tables/dvc.yaml").stdout) == []


def test_a_killed_training_is_a_hole_until_it_is_tried_again(workspace) -> None:
    select(workspace, rows=["cpsp_full", "slow"], seeds=[1])
    target = "tables/dvc.yaml:rows@slow-1"
    workspace.run("dvc", "repro", "--single-item", "tables/dvc.yaml:plan")
    lock = (workspace.path / "tables/dvc.lock").read_text()
    process = workspace.start("dvc", "repro", "--single-item", target)
    kill_training(process, workspace.path / "data/.work/train")
    assert process.wait() == 0, "a killed training stopped DVC"
    assert record(workspace, "slow-1")["reason"] == "killed by SIGKILL: often memory had run out"

    assert ran(workspace.run("dvc", "repro", "tables/dvc.yaml").stdout) == ["render"]
    command = f"dvc repro --force --single-item {target}"
    assert f"{command} &amp;&amp; dvc repro tables/dvc.yaml" in rendered(workspace, "index.html")
    done = workspace.run(*command.split())
    left = int(re.search(rf"(\d+) of {SLOW_EPOCHS} epochs to go", done.stdout + done.stderr)[1])
    assert left < SLOW_EPOCHS, "nothing of the killed training was used"
    assert record(workspace, "slow-1")["reason"] == ""
    assert ran(workspace.run("dvc", "repro", "tables/dvc.yaml").stdout) == ["render"]
    assert "no score" not in rendered(workspace, "made_up.md")

    # DVC's run cache holds the failure, too: the later success must be what it brings back.
    (workspace.path / "tables/dvc.lock").write_text(lock)
    workspace.run("rm", "-r", "results/tables/tiny/runs/slow-1")
    assert "is cached" in workspace.run("dvc", "repro", "--single-item", target).stdout
    assert record(workspace, "slow-1")["reason"] == ""


def kill_training(process: Any, scratch: Path) -> None:
    """Kill the process that trains, as the system does when memory runs out, once it has saved a state."""
    finished = set(scratch.glob("*/state.pt"))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if set(scratch.glob("*/state.pt")) - finished:
            (worker,) = (pid for pid, command in descendants(process.pid) if "spawn_main" in command)
            os.kill(worker, signal.SIGKILL)
            return
        time.sleep(0.02)
    pytest.fail("no training was there to be killed")


def descendants(pid: int) -> list[tuple[int, str]]:
    """Return the processes below `pid` with their command lines."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
            command = (status.parent / "cmdline").read_text()
        except OSError:  # It has just ended.
            continue
        if parent == pid:
            child = int(status.parent.name)
            found += [(child, command), *descendants(child)]
    return found

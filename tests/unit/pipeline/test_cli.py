import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core.errors import ParamsError, PipelineError, ShardError
from pipeline.core.version import __version__
from pipeline.params.schema import load_params
from pipeline.prediction.command import Targets
from pipeline.prediction.network import WeightFiles
from pipeline.store.manifest import Clip, Manifest, VideoFile
from pipeline.store.parsing_manifest import ParsedClip, ParsingManifest
from pipeline.store.shards import LedgerRow, save_ledger

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("synthetic", "ave"):
        (tmp_path / "data" / name).mkdir(parents=True)
        shutil.copy(ROOT / "data" / name / "preset.yaml", tmp_path / "data" / name)
    shutil.copy(ROOT / "data/synthetic/preset.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_use_puts_a_preset_in_place_and_shows_what_changes(workspace: Path) -> None:
    result = invoke("use", "ave")
    assert (workspace / "params.yaml").read_bytes() == (workspace / "data/ave/preset.yaml").read_bytes()
    assert "-  name: synthetic" in result.output
    assert "+  name: ave" in result.output
    assert "already is" in invoke("use", "ave").output


def test_use_refuses_an_unknown_name_and_lists_the_known_ones(workspace: Path) -> None:
    with pytest.raises(ParamsError, match="data set 'avee': expected ave, synthetic, found no such preset"):
        invoke("use", "avee")


def test_use_leaves_params_alone_when_the_preset_is_faulty(workspace: Path) -> None:
    preset = workspace / "data/ave/preset.yaml"
    preset.write_text(preset.read_text().replace("tau: 0.099", "tua: 0.099"))
    before = (workspace / "params.yaml").read_bytes()
    with pytest.raises(ParamsError, match=r"train\.cpsp\.full.tua: expected no such key"):
        invoke("use", "ave")
    assert (workspace / "params.yaml").read_bytes() == before


def run_command(how: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as ``python -m pipeline`` or, as the installed script does, by the function that it names."""
    start = ["-m", "pipeline"]
    if how == "avel":
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
        module, function = scripts["avel"].split(":")
        start = ["-c", f"import sys; from {module} import {function}; sys.exit({function}())"]
    return subprocess.run(
        [sys.executable, *start, *arguments], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )


@pytest.mark.parametrize("how", ["python -m pipeline", "avel"])
def test_a_users_mistake_is_one_line_and_exit_code_1(how: str, workspace: Path) -> None:
    done = run_command(how, "use", "nope")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: data set 'nope'")


@pytest.mark.parametrize("how", ["python -m pipeline", "avel"])
def test_version_is_printed_wherever_one_stands(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_command(how, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"avel-pipeline {__version__}\n", "")


def test_verify_cache_names_a_file_that_was_written_through_a_link(tmp_path: Path) -> None:
    digest = hashlib.md5(b"features").hexdigest()
    (tmp_path / digest[:2]).mkdir()
    file = tmp_path / digest[:2] / digest[2:]
    file.write_bytes(b"features")
    assert "1 files" in invoke("verify-cache", str(tmp_path)).output
    file.write_bytes(b"damaged")
    with pytest.raises(PipelineError, match=f"1 of 1 changed: .*{digest[2:]}"):
        invoke("verify-cache", str(tmp_path))


def test_verify_cache_refuses_to_find_nothing_wrong_with_no_cache(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="expected DVC's cache, found no folder"):
        invoke("verify-cache", str(tmp_path / "nowhere"))


def test_check_names_a_fault_that_no_stage_would_run_into(workspace: Path) -> None:
    assert invoke("check").exit_code == 0
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("num_workers: 0", "num_workerz: 0"))
    with pytest.raises(ParamsError, match=r"extract\.num_workers: .* extract\.num_workerz: expected no such key"):
        invoke("check")


@pytest.fixture
def prepared(workspace: Path) -> Path:
    folder = workspace / "data" / "synthetic"
    (folder / "prepared").mkdir()
    (folder / "prepared/audit.md").write_text("# Audit of synthetic\n")
    (folder / "prepared/audit.json").write_text('{"dataset": "synthetic"}')
    return folder


ROWS = [
    LedgerRow("a", "ok", "ok", "1" * 10, "10.00", "250 frames", "0.020"),
    LedgerRow("ü", "partial", "truncated", "1" * 4 + "0" * 6, "4.00", "100 of 250 frames", "0.471"),
]


def test_audit_says_what_to_run_where_there_is_nothing(workspace: Path) -> None:
    with pytest.raises(PipelineError, match=r"audit\.md: expected .* found no file; run `dvc repro prepare`"):
        invoke("audit")


def test_audit_prints_the_prepared_one_where_nothing_is_extracted(prepared: Path) -> None:
    output = invoke("audit").output
    assert output.startswith("# Audit of synthetic\n")
    assert "No features yet: run `dvc repro extract_visual extract_audio`." in output
    assert json.loads(invoke("audit", "--json").output) == {
        "prepared": {"dataset": "synthetic"},
        "features": {},
        "imports": {},
        "coverage": {},
    }


def test_audit_sums_up_the_ledgers_that_exist(prepared: Path) -> None:
    save_ledger(prepared / "features/visual/ledger.csv", ROWS)
    output = invoke("audit").output
    assert "## Visual features\n\n2 videos: 1 ok, 1 partial, 0 failed (truncated 1); 30.0 % of the" in output
    assert "- truncated, 1 partial: the file ends before" in output
    assert "- furthest apart by number and by time: ü 0.471 s, a 0.02 s" in output
    assert "Audio" not in output
    features = json.loads(invoke("audit", "--json").output)["features"]
    assert list(features) == ["visual"]
    assert features["visual"]["num_masked_segments"] == 6
    assert features["visual"]["offsets"]["furthest"] == [["ü", 0.471], ["a", 0.02]]


def test_audit_counts_the_clips_that_have_both_features(prepared: Path) -> None:
    split_of = {"a": "train", "b": "test", "ü": "test"}
    clips = tuple(Clip(id_, id_, f"{id_}.mp4", "Bark", "1" * 10, split) for id_, split in split_of.items())
    videos = tuple(VideoFile(clip.video_id, clip.path, 1, "0") for clip in clips)
    Manifest(clips, videos, ("Bark",)).save(prepared / "prepared")
    failed = LedgerRow("b", "failed", "missing", "", "", "")
    save_ledger(prepared / "features/visual/ledger.csv", [ROWS[0], replace(failed, video_id="b"), ROWS[1]])
    save_ledger(prepared / "features/audio/ledger.csv", [ROWS[0], replace(ROWS[0], video_id="b"), ROWS[1]])
    assert "Clips with both: train 1 of 1, test 1 of 2; dataset.min_coverage is 95.0%." in invoke("audit").output
    assert json.loads(invoke("audit", "--json").output)["coverage"]["test"] == {"num_covered": 1, "num_clips": 2}


def test_audit_counts_the_clips_of_parsing_too(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = tuple(ParsedClip(id_, id_, f"{id_}.mp4", ("Bark",), None, None, "train") for id_ in ("a", "b"))
    ParsingManifest(clips, (), ("Bark",)).save(prepared / "prepared")
    for modality in ("visual", "audio"):
        save_ledger(prepared / f"features/{modality}/ledger.csv", [ROWS[0]])
    params = load_params()
    dataset = params.dataset.model_copy(update={"task": "parsing"})
    monkeypatch.setattr("pipeline.cli.load_params", lambda: params.model_copy(update={"dataset": dataset}))
    assert json.loads(invoke("audit", "--json").output)["coverage"] == {"train": {"num_covered": 1, "num_clips": 2}}


def test_audit_refuses_a_ledger_of_other_params(prepared: Path, workspace: Path) -> None:
    save_ledger(prepared / "features/audio/ledger.csv", ROWS)
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("num_segments: 10", "num_segments: 5"))
    with pytest.raises(ShardError, match=r"ledger row of 'a': expected a mask of 5 segments \(dataset\.num_segments\)"):
        invoke("audit")


def test_doctor_says_what_a_file_is_as_text_and_as_json(workspace: Path) -> None:
    file = workspace / "audio.npy"
    np.save(file, np.maximum(np.random.default_rng(1).normal(size=(3, 10, 128)), 0))
    assert "raw VGGish features after the final ReLU" in invoke("doctor", str(file)).output
    found = json.loads(invoke("doctor", str(file), "--json").output)
    assert found["file"]["shape"] == [3, 10, 128]
    with pytest.raises(ShardError, match=r"expected HDF5 or \.npy, found another format"):
        invoke("doctor", "params.yaml")


def test_import_features_refuses_a_folder_without_the_authors_files(workspace: Path) -> None:
    with pytest.raises(PipelineError, match="expected the files of data set synthetic, found no folder"):
        invoke("import-features")


def test_predict_ends_with_exit_code_1_where_a_file_failed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def predict_files(videos: list[Path], model: Path, targets: Targets, **options: object) -> int:
        given.append((videos, model, targets, options))
        return len([video for video in videos if "broken" in video.name])

    monkeypatch.setattr("pipeline.prediction.command.predict_files", predict_files)
    assert invoke("predict", "a.mp4", "b.mp4", "--json", "-", "--vtt", "there").exit_code == 0
    assert invoke("predict", "a.mp4", "broken.mp4", "--model", "mine", "--visual-weights", "w.h5").exit_code == 1
    (videos, model, targets, _), (_, other, _, options) = given
    assert videos == [Path("a.mp4"), Path("b.mp4")]
    assert (model, other) == (Path("results/train"), Path("mine"))
    assert targets == Targets(Path("-"), None, Path("there"), None, None)
    assert options == {"files": WeightFiles(Path("w.h5"), None, None), "device": "auto"}

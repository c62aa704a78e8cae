"""Real clips, from files to the report; they lie outside the repository (``AVEL_REAL_DIR``)."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.annotations.prepare import prepare
from pipeline.evaluation.stage import evaluate_run
from pipeline.extraction.stage import extract
from pipeline.features.audio.extractor import AudioExtractor
from pipeline.features.visual.extractor import VisualExtractor
from pipeline.params.schema import Params, load_params, params_of_task
from pipeline.report.build import build_report
from pipeline.store.manifest import Manifest
from pipeline.store.shards import LedgerRow, Shard, load_index, load_ledger
from pipeline.training.dataset import load_dataset
from pipeline.training.loop import train

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("AVEL_REAL_DIR", ROOT.parent / "shared" / "real"))
CPU = torch.device("cpu")
AVE_CLIPS = {"0lFf-HP86Q0": "0000011111", "16eUxQwxxbs": "1111111111", "22olCB3wQaA": "0000011111"}
TABLE = [
    ("0lFf-HP86Q0.mp4", "Female speech", 5, 10, "train"),
    ("16eUxQwxxbs.mp4", "Ukulele", 0, 10, "train"),
    ("2j4m7JsNtNA_30.000_40.000.mp4", "Other", 0, 10, "train"),
    ("test.wav", "Other", 0, 4, "train"),
    ("22olCB3wQaA.mp4", "Race car", 5, 10, "val"),
    ("3GbIhQLCH9I_16.000_26.000.mp4", "Other", 0, 9, "test"),
    ("4egukLBpAcQ_30.000_40.000.mp4", "Other", 2, 8, "test"),
]

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no real clips at {os.path.relpath(REAL, ROOT)}; set AVEL_REAL_DIR"
)


def params_of(preset: str, **changes: dict[str, object]) -> Params:
    """Return a preset with random weights, two frames per segment and failures allowed."""
    params = load_params(ROOT / "data" / preset / "preset.yaml").model_dump()
    for section in ("visual", "audio"):
        params[section].update(weights="random", max_failed_fraction=1.0)
    params["visual"]["frames_per_segment"] = 2
    params["dataset"]["min_coverage"] = 0.5
    for section, values in changes.items():
        params[section].update(values)
    return params_of_task(params).model_validate(params)


def extract_both(params: Params, manifest: Manifest, raw: Path, features: Path) -> dict[str, dict[str, LedgerRow]]:
    ledgers = {}
    for extractor, section in (
        (VisualExtractor(params.visual, params.dataset, CPU), params.visual),
        (AudioExtractor(params.audio, params.dataset, CPU), params.audio),
    ):
        output = features / extractor.modality
        extract(
            lambda _, extractor=extractor: extractor,
            manifest.videos,
            raw,
            output,
            params=params.extract,
            max_failed_fraction=section.max_failed_fraction,
        )
        ledgers[extractor.modality] = {row.video_id: row for row in load_ledger(output / "ledger.csv")}
    return ledgers


def test_three_ave_clips_go_through_with_the_real_annotations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params = params_of("ave")
    manifest = prepare(params.dataset, raw=REAL / "ave", output=tmp_path / "prepared")
    clips = {clip.clip_id: clip for clip in manifest.clips}
    assert {clip_id: clips[clip_id].events for clip_id in AVE_CLIPS} == AVE_CLIPS
    ledgers = extract_both(params, manifest, REAL / "ave", tmp_path / "features")
    for modality, ledger in ledgers.items():
        assert len(ledger) == 4097
        assert {video_id for video_id, row in ledger.items() if row.status == "ok"} == set(AVE_CLIPS)
        assert {row.reason for video_id, row in ledger.items() if video_id not in AVE_CLIPS} == {"missing"}
        shapes = {"visual": (10, 7, 7, 512), "audio": (10, 128)}
        for entry in load_index(tmp_path / "features" / modality).shards:
            with Shard(tmp_path / "features" / modality / entry.file) as shard:
                assert shard.features.shape[1:] == shapes[modality]
                assert shard.features[:].min() >= 0, "features are taken after the rectifier"
                assert (shard.features[:] > 0).any()


def test_real_clips_of_ones_own_table_end_in_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    raw = tmp_path / "data/real/raw"
    (raw / "videos").mkdir(parents=True)
    for file in [*(REAL / "ave/videos").iterdir(), *(REAL / "clips").iterdir()]:
        shutil.copyfile(file, raw / "videos" / file.name)
    with (raw / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "category", "start", "end", "split"), *TABLE])
    params = params_of("csv", dataset={"name": "real"})
    cpsp = params.train.cpsp
    cpsp = cpsp.model_copy(update={"full": cpsp.full.model_copy(update={"num_epochs": 3})})
    params = params.model_copy(update={"train": params.train.model_copy(update={"cpsp": cpsp})})

    manifest = prepare(params.dataset, raw=raw, output=tmp_path / "prepared")
    ledgers = extract_both(params, manifest, raw, tmp_path / "features")
    dataset = load_dataset(params, tmp_path / "prepared", tmp_path / "features")
    train(params.train, dataset, tmp_path / "train", CPU)
    evaluate_run(params.evaluate, dataset, tmp_path / "train", tmp_path / "evaluate", CPU)
    folders = {name: tmp_path / name for name in ("prepared", "features", "train", "evaluate")}
    build_report(params=params, raw=raw, output=tmp_path / "report", **folders)

    visual, audio = ledgers["visual"], ledgers["audio"]
    assert (visual["test"].status, visual["test"].reason) == ("failed", "no_video_stream")
    assert (audio["test"].status, audio["test"].valid) == ("partial", "1111000000")  # four seconds of sound
    short = "3GbIhQLCH9I_16.000_26.000"  # 8.93 s of pictures, 9.15 s of sound
    for ledger in (visual, audio):
        assert (ledger[short].status, ledger[short].reason, ledger[short].valid) == ("partial", "short", "1111111110")
        assert all(row.status == "ok" for video_id, row in ledger.items() if video_id not in {short, "test"})
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    assert metrics["num_clips"] == 2
    assert metrics["masked_segment_share"] == 5.0
    page = (tmp_path / "report/index.html").read_text()
    assert page.count("data:image/webp;base64,") >= 19
    assert short in page

import re

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.report.localization.inputs import load_run
from pipeline.report.localization.run import MATRICES
from pipeline.store.maps import load_maps, save_maps


def test_a_clip_gets_the_maps_at_its_place_in_the_predictions(make_run):
    fake = make_run(has_media=False)
    path = fake.root / "evaluate/predictions.csv"
    header, *rows = path.read_text().splitlines()
    order = sorted(range(3), reverse=True)
    path.write_text("\n".join([header, *(row for n in order for row in rows if row.startswith(f"clip{n},"))]) + "\n")
    maps = load_maps(fake.root / "evaluate/maps.safetensors")
    for name in maps["test"]:
        maps["test"][name] = maps["test"][name] * np.array(order, np.float16)[:, np.newaxis, np.newaxis]
    save_maps(fake.root / "evaluate/maps.safetensors", maps)

    run = load_run(params=fake.params, **fake.folders)
    assert [prediction.clip.clip_id for prediction in run.predictions["test"]] == ["clip0", "clip1", "clip2"]
    for number, prediction in enumerate(run.predictions["test"]):
        assert set(prediction.maps) == {"attention", *MATRICES}
        assert prediction.maps["attention"][0, 0] == 0.5 * number
        assert prediction.maps["audio_connections"][1, 2] == 0.75 * number


def test_splits_are_kept_apart(make_run):
    fake = make_run(has_media=False)
    run = load_run(params=fake.params, **fake.folders)
    assert {split: [p.clip.clip_id for p in of_split] for split, of_split in run.predictions.items()} == {
        "test": ["clip0", "clip1", "clip2"],
        "val": ["clip-val0", "clip-val1"],
    }


def test_a_split_without_clips_has_no_predictions_and_no_maps(make_run):
    fake = make_run(has_media=False, num_val_clips=0)
    assert load_run(params=fake.params, **fake.folders).predictions["val"] == ()


class TestRefusals:
    @pytest.mark.parametrize(
        ("file", "stage"),
        [
            ("prepared/manifest.csv", "prepare"),
            ("prepared/audit.json", "prepare"),
            ("features/visual/index.json", "extract_visual"),
            ("features/audio/ledger.csv", "extract_audio"),
            ("train/history.csv", "train"),
            ("evaluate/metrics.json", "evaluate"),
            ("evaluate/predictions.csv", "evaluate"),
            ("evaluate/predictions_val.csv", "evaluate"),
            ("evaluate/maps.safetensors", "evaluate"),
        ],
    )
    def test_a_missing_file_names_its_stage(self, make_run, file, stage):
        run = make_run(has_media=False)
        (run.root / file).unlink()
        with pytest.raises(PipelineError, match=rf"{file}: expected .*found no file; run `dvc repro {stage}`") as error:
            run.build()
        assert "\n" not in str(error.value)
        assert not (run.root / "report").exists()

    @pytest.mark.parametrize(
        ("file", "old", "new", "message"),
        [
            ("evaluate/predictions.csv", "clip0", "stranger", "clips of the test split, found 'stranger'"),
            ("evaluate/predictions.csv", "clip0,3", "clip0,2", "4 segments per clip, found 3 of 'clip0'"),
            ("evaluate/predictions.csv", "1,bell,bell", "1,bell,cat", "names of categories.txt, found 'cat'"),
            ("evaluate/predictions.csv", "clip0,0,background", "clip0,0,bell", "the truth of manifest.csv"),
            ("evaluate/predictions.csv", "0.9", "high", "a number, found 'high'"),
            ("evaluate/predictions.csv", "0.9", "1.5", "a relevance from 0 to 1"),
            ("evaluate/predictions_val.csv", "clip-val0", "clip0", "clips of the val split, found 'clip0'"),
            ("evaluate/confusion.csv", "bell,bell,3", "bell,bell,2", "12 segments, found 11"),
            ("evaluate/per_class.csv", "dog", "cat", "a row per name of categories.txt"),
            ("evaluate/per_class.csv", "segment_accuracy", "accuracy", "the column 'segment_accuracy'"),
            ("evaluate/metrics.json", '"num_clips": 3', '"num_clips": 2', "num_clips 3, the clips in predictions.csv"),
            ("evaluate/metrics.json", '"event_f1"', '"f1"', "the keys event_f1"),
            ("evaluate/metrics.json", "90.0", '"good"', "a number for category_accuracy, found 'good'"),
            ("evaluate/metrics.json", '"best_epoch": 3', '"best_epoch": 9', "the best epoch 9 of metrics.json"),
            ("features/audio/ledger.csv", "video0", "other", "the 4 videos of videos.csv"),
            ("features/audio/index.json", '"audio"', '"visual"', "modality 'audio', found 'visual'"),
            ("features/visual/index.json", "random:1", "keras", "from 'random', as params.yaml says, found 'keras'"),
            ("prepared/audit.json", "{", "[", "expected JSON"),
            ("prepared/manifest.csv", "videos/video0.mp4", "../../video0.mp4", "paths inside the raw folder"),
        ],
    )  # fmt: skip
    def test_a_contradiction_is_one_line(self, make_run, file, old, new, message):
        run = make_run(has_media=False)
        path = run.root / file
        text = path.read_text()
        path.write_text(text.replace(old, new, 1 if "," in old else -1))
        assert path.read_text() != text
        with pytest.raises(PipelineError, match=re.escape(message)) as error:
            run.build()
        assert str(error.value).startswith(str(run.root))
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda maps: maps.pop("val"), "maps of the splits with predictions, test, val, found test"),
            (lambda maps: maps.update(train=maps["val"]), "test, val, found test, train, val"),
            (
                lambda maps: maps["val"].update(attention=maps["val"]["attention"][:1]),
                "val/attention of shape (2, 4, P), found (1, 4, 49)",
            ),
            (
                lambda maps: maps["test"].update(audio_similarity=np.zeros((3, 4, 5), np.float16)),
                "test/audio_similarity of shape (3, 4, 4), found (3, 4, 5)",
            ),
            (
                lambda maps: maps["test"].update(attention=np.full((3, 4, 49), np.nan, np.float16)),
                "finite numbers in test/attention",
            ),
            (lambda maps: [of_split.pop("attention") for of_split in maps.values()], "test: attention, alone or with"),
            (
                lambda maps: maps.update(val={"attention": maps["val"]["attention"]}),
                "the same maps of test and val, found others",
            ),
        ],
    )
    def test_maps_that_do_not_fit_are_one_line(self, make_run, change, message):
        run = make_run(has_media=False)
        path = run.root / "evaluate/maps.safetensors"
        maps = load_maps(path)
        change(maps)
        save_maps(path, maps)
        with pytest.raises(PipelineError, match=re.escape(message)) as error:
            run.build()
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)

import re

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.report.parsing.inputs import load_run
from pipeline.report.parsing.run import Found
from pipeline.store.maps import load_maps, save_maps


def lanes_of(prediction):
    return {(lane.modality, lane.category): lane for lane in prediction.lanes}


class TestReading:
    def test_lanes_are_in_the_order_of_the_page_whatever_the_files(self, run):
        assert [(lane.modality, lane.category) for lane in run.predictions["test"][0].lanes] == [
            ("visual", "bell"),
            ("audio", "bell"),
        ]

    def test_a_lane_has_truth_prediction_probability_media_and_gate(self, run):
        lane = lanes_of(run.predictions["test"][1])["audio", "rain"]
        assert lane.truth == (True, True, False, False)
        assert lane.predicted == (False,) * 4
        assert lane.probability == (0.9, 0.9, 0.1, 0.1)
        assert lane.has_media == (True, True, True, False)
        assert lane.kinds == ("missed", "missed", "right", "right")
        assert lane.gate == pytest.approx(0.2, abs=0.001)

    def test_a_lane_knows_what_is_there_in_the_other_modality(self, run):
        assert lanes_of(run.predictions["test"][2])["visual", "rain"].kinds == (
            "right",
            "modality",
            "modality",
            "right",
        )

    def test_the_gate_is_that_of_the_method(self, make_run):
        fake = make_run(method="han", has_media=False)
        path = fake.root / "evaluate/maps.safetensors"
        maps = load_maps(path)
        maps["test"]["clip_probabilities"][0, 2, 0] = 0.75
        save_maps(path, maps)
        run = load_run(params=fake.params, **fake.folders)
        assert run.gate == "global"
        assert [lane.gate for lane in run.predictions["test"][0].lanes] == [0.75, 0.75]

    def test_splits_are_kept_apart(self, run):
        assert {split: [item.clip.clip_id for item in of_split] for split, of_split in run.predictions.items()} == {
            "test": ["clip0", "clip1", "clip2", "clip3", "clip4"],
            "val": ["clip-val0", "clip-val1"],
        }

    def test_a_split_without_clips_has_no_predictions_and_no_maps(self, make_run):
        fake = make_run(has_media=False, num_val_clips=0)
        assert load_run(params=fake.params, **fake.folders).predictions["val"] == ()

    def test_a_clip_gets_the_maps_at_its_place_in_the_predictions(self, make_run):
        fake = make_run(has_media=False)
        path = fake.root / "evaluate/predictions.csv"
        header, *rows = path.read_text().splitlines()
        order = [4, 0, 3, 1, 2]
        path.write_text(
            "\n".join([header, *(row for n in order for row in rows if row.startswith(f"clip{n},"))]) + "\n"
        )
        maps = load_maps(fake.root / "evaluate/maps.safetensors")
        maps["test"] = {name: array[order] for name, array in maps["test"].items()}
        save_maps(fake.root / "evaluate/maps.safetensors", maps)
        run = load_run(params=fake.params, **fake.folders)
        assert [item.clip.clip_id for item in run.predictions["test"]] == [f"clip{n}" for n in range(5)]

    def test_what_was_found_is_that_of_the_predictions(self, run):
        assert run.confusion == {"bell": Found(4, 0, 0), "dog": Found(2, 3, 0), "rain": Found(2, 2, 4)}

    def test_values_within_rounding_of_the_threshold_belong_to_either_side(self, make_run):
        fake = make_run(has_media=False)
        folder = fake.root / "evaluate"
        maps = load_maps(folder / "maps.safetensors")
        maps["test"]["probabilities"][0, 0, :, 0] = 0.5  # 0.4996 to the network: not predicted
        maps["test"]["clip_probabilities"][0, 0, 0] = 0.4995  # 0.50001 to the network
        save_maps(folder / "maps.safetensors", maps)
        path = folder / "predictions.csv"
        text = path.read_text()
        for modality in ("audio", "visual"):
            old = f"clip0,{modality},bell,0,background,background,0.1\n"
            assert old in text
            text = text.replace(old, old.replace("0.1", "0.4996"))
        path.write_text(text)
        assert load_run(params=fake.params, **fake.folders).predictions["test"][0].num_found == 4


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
            ("evaluate/per_class.csv", "evaluate"),
            ("evaluate/confusion.csv", "evaluate"),
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
            ("evaluate/predictions.csv", "clip0,", "stranger,", "clips of the test split, found 'stranger'"),
            ("evaluate/predictions.csv", "clip0,audio", "clip0,touch", "a modality, audio or visual, found 'touch'"),
            ("evaluate/predictions.csv", "audio,bell", "audio,cat", "names of categories.txt, found 'cat'"),
            ("evaluate/predictions.csv", "1,bell,bell", "1,bell,dog", "'bell' or 'background' in its lane, found"),
            ("evaluate/predictions.csv", "bell,3,", "bell,2,", "4 segments per lane, found 3 of 'clip0'"),
            ("evaluate/predictions.csv", "1,bell,bell", "1,background,bell", "the truth of manifest.csv, found"),
            ("evaluate/predictions.csv", "0.9", "high", "a number, found 'high'"),
            ("evaluate/predictions.csv", "0.9", "1.5", "a probability from 0 to 1, found another for 'clip0'"),
            ("evaluate/predictions.csv", "0.9", "", "a probability from 0 to 1, found another for 'clip0'"),
            ("evaluate/predictions.csv", "0.9", "0.8", "the probabilities of maps.safetensors, found others"),
            (
                "evaluate/predictions.csv",
                "1,bell,bell",
                "1,bell,background",
                "predictions from the probabilities of maps.safetensors by the own gate, where there is media, found "
                "others of 'clip0'",
            ),
            (
                "evaluate/predictions.csv",
                "clip1,audio,rain,0,rain,background",
                "clip1,audio,rain,0,rain,rain",
                "by the own gate, where there is media, found others of 'clip1'",
            ),
            ("evaluate/predictions_val.csv", "clip-val0,", "clip0,", "clips of the val split, found 'clip0'"),
            ("evaluate/confusion.csv", "bell,bell,4", "bell,dog,4", "invented, found 'bell' taken for 'dog'"),
            ("evaluate/confusion.csv", "bell,bell,4", "background,background,4", "found, missed or invented"),
            ("evaluate/confusion.csv", "bell,bell,4", "bell,bell,3", "'bell' 4 times found, 0 missed, 0 invented"),
            ("evaluate/confusion.csv", "dog,background,3", "dog,background,2", "'dog' 2 times found, 3 missed"),
            ("evaluate/per_class.csv", "dog", "cat", "a row per name of categories.txt, found others"),
            ("evaluate/per_class.csv", "audio_visual", "both", "the column 'audio_visual' in every row, found none"),
            ("evaluate/per_class.csv", "dog,2", "dog,3", "2 clips of 'dog', as in predictions.csv, found '3'"),
            ("evaluate/metrics.json", '"num_clips": 5', '"num_clips": 4', "num_clips 5, the clips in predictions.csv"),
            ("evaluate/metrics.json", '"micro_event_audio"', '"micro_audio"', "the keys micro_event_audio, found none"),
            ("evaluate/metrics.json", '"global_gate_event_audio"', '"x"', "the keys global_gate_event_audio"),
            ("evaluate/metrics.json", '"best_epoch": 3', '"best_epoch": 9', "the best epoch 9 of metrics.json"),
            ("evaluate/metrics.json", "85.25", '"good"', "a number for test_selected_segment_type_at_av, found 'good'"),
            ("features/audio/ledger.csv", "video0", "other", "the 6 videos of videos.csv"),
            ("features/visual/index.json", "random:1", "keras", "from 'random', as params.yaml says, found 'keras'"),
            ("prepared/manifest.csv", "videos/video0.mp4", "../../video0.mp4", "paths inside the raw folder"),
            ("prepared/manifest.csv", '""bell""', '""cat""', "names of categories.txt, found 'cat'"),
            ("prepared/manifest.csv", "0110", "01100", "clip clip0: expected 4 segments"),
        ],
    )  # fmt: skip
    def test_a_contradiction_is_one_line(self, make_run, file, old, new, message):
        run = make_run(has_media=False)
        path = run.root / file
        text = path.read_text()
        path.write_text(text.replace(old, new, 1))
        assert path.read_text() != text
        with pytest.raises(PipelineError, match=re.escape(message)) as error:
            run.build()
        assert "\n" not in str(error.value)

    def test_a_true_lane_that_is_left_out(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "evaluate/predictions.csv"
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join(row for row in rows if not row.startswith("clip1,audio")))
        with pytest.raises(PipelineError, match=r"a lane of 'rain', heard by manifest\.csv, found none of 'clip1'"):
            run.build()

    def test_a_lane_of_nothing_beside_others(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "evaluate/predictions.csv"
        with path.open("a") as file:
            file.writelines(f"clip0,audio,dog,{segment},background,background,0.1\n" for segment in range(4))
        with pytest.raises(PipelineError, match=r"lanes of what is true or predicted, found another of 'clip0'"):
            run.build()

    def test_a_predicted_lane_that_is_left_out(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "evaluate/predictions.csv"
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join(row for row in rows if not row.startswith("clip2,visual")))
        with pytest.raises(PipelineError, match=r"by the own gate, where there is media, found others of 'clip2'"):
            run.build()

    def test_a_prediction_where_there_is_no_media(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "features/visual/ledger.csv"
        path.write_text(path.read_text().replace("video0,ok,ok,1111", "video0,partial,short,1011"))
        with pytest.raises(PipelineError, match=r"where there is media, found others of 'clip0'"):
            run.build()

    def test_scores_by_another_gate_than_the_params_say(self, make_run):
        run = make_run(has_media=False, gate="global")
        path = run.root / "evaluate/maps.safetensors"
        maps = load_maps(path)
        maps["test"]["clip_probabilities"][0, 2] = 0.2
        save_maps(path, maps)
        with pytest.raises(PipelineError, match=r"by the global gate, where there is media, found others of 'clip0'"):
            run.build()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda maps: maps.pop("val"), "maps of the splits with predictions, test, val, found test"),
            (
                lambda maps: maps["val"].update(probabilities=maps["val"]["probabilities"][:1]),
                "val/probabilities of shape (2, 4, 2, 3), found (1, 4, 2, 3)",
            ),
            (
                lambda maps: maps["test"].update(clip_probabilities=np.zeros((5, 2, 3), np.float16)),
                "test/clip_probabilities of shape (5, 3, 3), found (5, 2, 3)",
            ),
            (
                lambda maps: maps["test"].update(probabilities=np.full((5, 4, 2, 3), np.nan, np.float16)),
                "finite numbers in test/probabilities",
            ),
            (
                lambda maps: maps["test"].update(clip_probabilities=np.full((5, 3, 3), 1.5, np.float16)),
                "probabilities in test/clip_probabilities, found 1.5 to 1.5",
            ),
            (
                lambda maps: [of_split.pop("probabilities") for of_split in maps.values()],
                "test: probabilities, clip_probabilities, found clip_probabilities",
            ),
            (lambda maps: maps["val"].pop("probabilities"), "the same maps of test and val, found others"),
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

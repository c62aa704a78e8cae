import numpy as np

from pipeline.report.inputs import MATRICES, load_run
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

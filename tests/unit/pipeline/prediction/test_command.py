import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.core.errors import CheckpointError, ParamsError, PipelineError
from pipeline.prediction.command import STDOUT, Targets, output_stems, predict_files
from pipeline.prediction.judging import predict_video
from pipeline.prediction.network import WeightFiles
from pipeline.prediction.videos import VideoPrediction

NONE = WeightFiles()
MODEL = Path("results/train")


@pytest.fixture
def use_model(make_model: Callable, decode_in_test: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes predict_files load such a model."""

    def use(**settings: object) -> None:
        monkeypatch.setattr("pipeline.prediction.command.load_model", lambda *_: make_model(**settings))

    use()
    return use


@pytest.fixture
def videos(media: SimpleNamespace, tmp_path: Path) -> list[Path]:
    """Return a good, a broken, a missing and another good one, whose name is the first one's."""
    first = media.write(tmp_path / "one/clip.mp4", num_frames=100, audio_seconds=4.0, size=(80, 32))
    broken = tmp_path / "broken\n\x1b.mp4"
    broken.write_text("no video")
    last = media.write(tmp_path / "two/clip.mp4", num_frames=225, audio_seconds=9.0)
    return [first, broken, tmp_path / "missing.mp4", last]


@pytest.mark.usefixtures("use_model")
def test_a_broken_file_is_one_line_and_the_others_are_done(
    videos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict_files(videos, MODEL, Targets(), files=NONE, device="cpu") == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(err.splitlines()) == 2
    assert errors[0].startswith(f"error: {videos[1].parent}/broken\\n\\x1b.mp4: Invalid data")
    assert errors[1] == f"error: {videos[2]}: no such file"
    assert all(line.isprintable() for line in [*out.splitlines(), *err.splitlines()])
    model, blank, header, *rows = out.splitlines()
    assert model.endswith("cpsp, full supervision, epoch 7; 2 categories, windows of 4 × 1 s")
    assert (blank, header.split()[0]) == ("", "file")
    assert [row.split() for row in rows] == [
        [str(videos[0]), "1.00", "2.00", "0.88", "bell"],
        [str(videos[0]), "3.00", "4.00", "0.88", "bell"],
        *[[str(videos[3]), f"{start}.00", f"{start + 1}.00", "0.88", "bell"] for start in (1, 3, 5)],
        [str(videos[3]), "7.00", "8.00", "0.88", "siren"],
    ]


@pytest.mark.usefixtures("use_model")
def test_a_message_stays_on_its_line_whatever_it_quotes(
    videos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PipelineError("another\nfile.mp4 changed")

    monkeypatch.setattr("pipeline.prediction.command.predict_video", refuse)
    assert predict_files(videos[:1], MODEL, Targets(), files=NONE, device="cpu") == 1
    assert capsys.readouterr().err == f"error: {videos[0]}: another\\nfile.mp4 changed\n"


@pytest.mark.usefixtures("use_model")
def test_everything_that_is_asked_for_is_written(videos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    targets = Targets(out / "a.json", out / "a.csv", out / "vtt", out / "pictures", out / "videos")
    predict_files(videos, MODEL, targets, files=NONE, device="cpu")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        "a.csv",
        "a.json",
        "pictures/clip-2.png",
        "pictures/clip.png",
        "videos/clip-2.mp4",
        "videos/clip.mp4",
        "vtt/clip-2.vtt",
        "vtt/clip.vtt",
    ]
    document = json.loads((out / "a.json").read_text())
    assert [video["file"] for video in document["videos"]] == [str(videos[0]), str(videos[3])]
    assert [(error["file"], error["reason"]) for error in document["errors"]] == [
        (str(videos[1]), "not_media"),
        (str(videos[2]), "missing"),
    ]
    with (out / "a.csv").open(newline="") as file:
        assert [row["category"] for row in csv.DictReader(file)] == ["bell"] * 5 + ["siren"]
    assert (out / "vtt/clip-2.vtt").read_text().count("-->") == 4


@pytest.mark.parametrize("name", ["json", "csv"])
def test_a_dash_is_standard_output_and_nothing_else_is(
    name: str, use_model: Callable, videos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    use_model(weights="random:1")
    predict_files(videos, MODEL, Targets(**{name: STDOUT}), files=NONE, device="cpu")
    out, err = capsys.readouterr()
    if name == "json":
        assert json.loads(out)["notice"].startswith("Random network weights")
    else:
        assert out.startswith("file,start_seconds,end_seconds,category,relevance,notice\n")
        assert out.count("Random network weights") == 6
    assert "Random network weights" in err


def test_random_weights_are_announced_above_the_table(
    use_model: Callable, videos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    use_model(weights="random:1")
    predict_files(videos[:1], MODEL, Targets(), files=NONE, device="cpu")
    assert capsys.readouterr().out.splitlines()[1].startswith("Random network weights (visual, audio): ")


@pytest.mark.usefixtures("use_model")
def test_no_output_replaces_a_video(videos: list[Path], tmp_path: Path) -> None:
    before = videos[0].read_bytes()
    (tmp_path / "link").symlink_to(videos[0].parent)
    weights = tmp_path / "w.h5"
    for targets in (
        Targets(render=videos[0].parent),
        Targets(render=tmp_path / "link"),
        Targets(json=videos[0]),
        Targets(csv=weights),
    ):
        with pytest.raises(ParamsError, match="beside videos and weights, found one of them, which it would replace"):
            predict_files(videos, MODEL, targets, files=WeightFiles(weights, None, None), device="cpu")
    assert videos[0].read_bytes() == before


@pytest.mark.usefixtures("use_model")
def test_places_that_cannot_be_written_to_are_refused_before_any_work(videos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for targets, message in (
        (Targets(json=tmp_path), "expected a file, found a folder"),
        (Targets(vtt=tmp_path / "file"), "expected a folder, found a file"),
        (Targets(tmp_path / "same", tmp_path / "x/../same"), "--json, --csv: expected two places"),
    ):
        with pytest.raises(ParamsError, match=message):
            predict_files(videos, tmp_path / "no model", targets, files=NONE, device="cpu")


@pytest.mark.usefixtures("use_model")
def test_an_output_that_fails_costs_neither_the_prediction_nor_the_other_videos(
    videos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (out / "clip.vtt").mkdir(parents=True)
    targets = Targets(json=out / "a.json", vtt=out)
    assert predict_files([videos[0], videos[3]], MODEL, targets, files=NONE, device="cpu") == 1
    document = json.loads((out / "a.json").read_text())
    assert [video["file"] for video in document["videos"]] == [str(videos[0]), str(videos[3])]
    assert [(error["file"], error["reason"]) for error in document["errors"]] == [(str(videos[0]), "output")]
    assert (out / "clip-2.vtt").is_file()
    captured = capsys.readouterr()
    assert captured.err == f"error: {videos[0]}: {out / 'clip.vtt'}: Is a directory\n"
    assert str(videos[0]) in captured.out


@pytest.mark.usefixtures("use_model")
def test_what_is_finished_is_written_after_ctrl_c(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_the_second(*arguments: object) -> VideoPrediction:
        if arguments[1] == videos[3]:
            raise KeyboardInterrupt
        return predict_video(*arguments)

    monkeypatch.setattr("pipeline.prediction.command.predict_video", interrupt_the_second)
    with pytest.raises(KeyboardInterrupt):
        predict_files([videos[0], videos[3]], MODEL, Targets(json=tmp_path / "a.json"), files=NONE, device="cpu")
    document = json.loads((tmp_path / "a.json").read_text())
    assert [video["file"] for video in document["videos"]] == [str(videos[0])]


@pytest.mark.usefixtures("use_model")
def test_json_and_csv_need_two_places(videos: list[Path]) -> None:
    with pytest.raises(ParamsError, match="--json, --csv: expected two places, found -"):
        predict_files(videos, MODEL, Targets(json=STDOUT, csv=STDOUT), files=NONE, device="cpu")


def test_a_model_that_is_not_there_is_said_once(videos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no file"):
        predict_files(videos, tmp_path, Targets(), files=NONE, device="cpu")


def test_names_of_outputs_do_not_collide() -> None:
    videos = [
        Path(name) for name in ("a/x.mp4", "b/x.mp4", "b/x-2.mkv", "B/X.avi", "x.tar.mp4", ".mp4", "n\nl\udcff.mp4")
    ]
    stems = output_stems(videos)
    assert stems[:4] == ["x", "x-2", "x-2-2", "X-3"]
    assert stems[4:] == ["x.tar", ".mp4", "n_l_"]
    long = output_stems([Path(f"{'ü' * 120}.mp4")] * 2)
    assert len(set(long)) == 2
    assert all(len(stem.encode()) < 130 for stem in long)

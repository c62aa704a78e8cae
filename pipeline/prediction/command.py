"""What ``python -m pipeline predict`` does: any number of videos, one after the other, and their predictions out."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer
from tqdm import tqdm

from pipeline.core.devices import choose_device
from pipeline.core.errors import MediaError, ParamsError, PipelineError, explain
from pipeline.core.files import write_text
from pipeline.drawing.palette import colours
from pipeline.methods.settings import GateChoice
from pipeline.prediction.judging import predict_video
from pipeline.prediction.network import Model, WeightFiles, load_model, weights_file
from pipeline.prediction.output import RANDOM_REMARK, Failure, printable
from pipeline.prediction.videos import VideoPrediction

STDOUT = Path("-")
MAX_STEM_BYTES = 120


@dataclass(frozen=True)
class Targets:
    """Where predictions go: files, of which ``-`` is standard output, and folders with a file per video."""

    json: Path | None = None
    csv: Path | None = None
    vtt: Path | None = None
    picture: Path | None = None
    render: Path | None = None

    @property
    def is_table_printed(self) -> bool:
        """Whether standard output is free for people."""
        return STDOUT not in (self.json, self.csv)


def predict_files(
    videos: Sequence[Path],
    model: Path,
    targets: Targets,
    *,
    files: WeightFiles,
    device: str = "auto",
    gate: GateChoice = "authors",
) -> int:
    """Predict the events of videos, print a table and write what is asked for.

    A file that cannot be used, or an output of it that cannot be written, costs one line on standard error; the others
    are done. Interrupted, what is known of the finished ones is written all the same.

    Parameters
    ----------
    videos : sequence of Path
    model : Path
        Output folder of the train stage, or a file of weights.
    targets : Targets
    files : WeightFiles
        For weights that the model's recipes know by their hash alone.
    device : str, optional
        ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
    gate : {"authors", "global", "own"}, optional
        Of parsing: which prediction about a window gates its segments.

    Returns
    -------
    int
        How many of the videos could not be used, or not be written in every form that is asked for.

    Raises
    ------
    ParamsError
        If two outputs would go to one place, an output would replace a video or weights, or a gate is chosen for a
        model that has none.
    PipelineError
        If the model cannot be used.
    """
    stems = output_stems(videos)
    _require_room(
        [
            *videos,
            weights_file(model),
            *(file for file in (files.visual, files.audio, files.pca, files.motion) if file),
        ],
        stems,
        targets,
    )
    loaded = load_model(model, files, choose_device(device), gate)
    for warning in loaded.warnings:
        _warn(warning)
    typer.echo(_describe(loaded), err=not targets.is_table_printed)
    if loaded.notice:
        typer.echo(loaded.notice, err=not targets.is_table_printed)
    wording = loaded.reading.wording
    if targets.is_table_printed:
        typer.echo(f"\n{wording.table_header(videos)}")
    predictions: list[VideoPrediction] = []
    failures: list[Failure] = []
    try:
        for path, stem in zip(videos, stems, strict=True):
            try:
                with _progress(path) as report:
                    prediction = predict_video(loaded, path, report)
            except (PipelineError, MemoryError) as error:
                _fail(failures, _failure(path, error))
                continue
            predictions.append(prediction)
            for warning in prediction.warnings:
                _warn(f"{path}: {warning}")
            if targets.is_table_printed:
                typer.echo("\n".join(wording.table_rows(prediction, videos)))
            for target, write in _writers(prediction, stem, loaded, targets):
                try:
                    write()
                except (PipelineError, MemoryError, OSError) as error:
                    _fail(failures, Failure(path, "output", f"{printable(target)}: {_reason(error)}"))
    finally:
        _write_files(targets, loaded, predictions, failures)
    return len({failure.path for failure in failures})


def _write_files(
    targets: Targets, loaded: Model, predictions: Sequence[VideoPrediction], failures: Sequence[Failure]
) -> None:
    """Write what is said of all videos together."""
    wording = loaded.reading.wording
    texts = {
        targets.json: wording.to_json(loaded.facts(), loaded.notice, loaded.warnings, predictions, failures),
        targets.csv: wording.to_csv(predictions, loaded.notice),
    }
    for target, text in texts.items():
        if target == STDOUT:
            typer.echo(text, nl=False)
        elif target is not None and target.exists() and not target.is_file():  # a pipe or a device
            target.write_text(text, encoding="utf-8")
        elif target is not None:
            try:
                write_text(target, text)
            except OSError as error:
                remedy = "make room, or name another place"
                raise PipelineError(
                    explain(printable(target), expected="to write it", found=_reason(error), remedy=remedy)
                ) from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or "memory is too small"


def _fail(failures: list[Failure], failure: Failure) -> None:
    failures.append(failure)
    typer.echo(f"error: {printable(failure.path)}: {printable(failure.message)}", err=True)


def output_stems(videos: Sequence[Path]) -> list[str]:
    """Return what the files of each video are called, without ending: its own name, with a number where it is taken.

    >>> output_stems([Path("a/clip.mp4"), Path("b/clip.mkv"), Path("b/Clip-2.mkv")])
    ['clip', 'clip-2', 'Clip-2-2']
    """
    stems: list[str] = []
    taken: set[str] = set()
    for video in videos:
        own = "".join(character if character.isprintable() else "_" for character in video.stem)
        own = own.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
        stem, number = own, 1
        while stem.casefold() in taken:  # some file systems do not tell cases apart
            number += 1
            stem = f"{own}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def _require_room(inputs: Sequence[Path], stems: Sequence[str], targets: Targets) -> None:
    """Refuse outputs that would collide with one another or replace an input, before any work; make the folders."""
    folders = {".vtt": targets.vtt, ".png": targets.picture, ".mp4": targets.render}
    written = [folder / f"{stem}{ending}" for ending, folder in folders.items() if folder for stem in stems]
    files = [file for file in (targets.json, targets.csv) if file and file != STDOUT]
    written += files
    own = {path.absolute() for path in inputs} | {path.resolve() for path in inputs}
    for path in written:
        if path.absolute() in own or path.resolve() in own:
            raise ParamsError(
                explain(
                    printable(path),
                    expected="an output beside videos and weights",
                    found="one of them, which it would replace",
                    remedy="name another place",
                )
            )
    is_one_place = len(files) == 2 and files[0].resolve() == files[1].resolve()
    if is_one_place or targets.json == targets.csv == STDOUT:
        raise ParamsError(
            explain(
                "--json, --csv", expected="two places", found=printable(targets.json), remedy="name another for one"
            )
        )
    for file in files:
        if file.is_dir():
            raise ParamsError(explain(printable(file), expected="a file", found="a folder", remedy="name a file in it"))
        file.parent.mkdir(parents=True, exist_ok=True)
    for folder in folders.values():
        if folder is not None and folder.exists() and not folder.is_dir():
            raise ParamsError(
                explain(printable(folder), expected="a folder", found="a file", remedy="name another place")
            )
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)


def _writers(
    prediction: VideoPrediction, stem: str, model: Model, targets: Targets
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield the files of one video, and what writes each."""
    reading, of = model.reading, colours(tuple(model.checkpoint.categories))
    description = _describe(model)
    if targets.vtt:
        vtt = targets.vtt / f"{stem}.vtt"
        yield vtt, partial(write_text, vtt, reading.wording.to_vtt(prediction, description, model.notice))
    if targets.picture:
        png = targets.picture / f"{stem}.png"
        notes = [description, *([model.notice] if model.notice else [])]
        yield (
            png,
            partial(
                reading.save_picture, prediction, png, segments_per_row=model.num_segments, colours=of, notes=notes
            ),
        )
    if targets.render:
        mp4 = targets.render / f"{stem}.mp4"
        yield mp4, partial(reading.render, prediction, mp4, colours=of, remark=RANDOM_REMARK if model.notice else "")


def _describe(model: Model) -> str:
    """Return the model in one line."""
    checkpoint = model.checkpoint
    epoch = "" if checkpoint.epoch is None else f", epoch {checkpoint.epoch}"
    facts = model.reading.facts
    gate = f", {facts['gate']} gate" if "gate" in facts else ""
    return (
        f"{printable(model.path)}: {checkpoint.method}, {checkpoint.supervision} supervision{epoch}; "
        f"{len(checkpoint.categories)} categories, windows of {model.num_segments} × {model.segment_seconds:g} s{gate}"
    )


def _failure(path: Path, error: PipelineError | MemoryError) -> Failure:
    message = str(error).removeprefix(f"{path.name}: ") or "memory is too small"
    return Failure(path, error.reason if isinstance(error, MediaError) else "other", message)


def _warn(text: object) -> None:
    typer.echo(f"warning: {printable(text)}", err=True)


@contextmanager
def _progress(path: Path) -> Iterator["_Bar"]:
    with tqdm(desc=printable(path.name), unit="window", disable=None, leave=False, file=sys.stderr) as bar:
        yield _Bar(bar)


class _Bar:
    """Shows how many windows of a video are done, on a terminal."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def __call__(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

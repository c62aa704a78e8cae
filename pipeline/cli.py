"""The commands of ``python -m pipeline``, which is also installed as ``avel``."""

import difflib
import hashlib
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.core.errors import CheckpointError, ParamsError, PipelineError, explain
from pipeline.core.files import write_text
from pipeline.core.version import __version__
from pipeline.methods.recipe import RecipeName
from pipeline.methods.settings import Supervision
from pipeline.params.overriding import override
from pipeline.params.schema import load_params
from pipeline.store.ledger import count_covered, describe_in_full, summarise_ledger
from pipeline.store.manifest import load_manifest, load_videos
from pipeline.store.parsing_manifest import load_parsing_manifest
from pipeline.store.shards import load_ledger

MAX_DIFFERENT_LINES = 80
"""Of two params files that are shown; those of another task differ in most."""

app = typer.Typer(
    help="Commands beside `dvc repro`.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"avel-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Commands beside `dvc repro`."""


@app.command()
def use(
    name: Annotated[str, typer.Argument(help="A folder under data/ with a preset.yaml, such as synthetic or ave.")],
) -> None:
    """Put a data set's params in place as params.yaml, showing what changes."""
    presets = {path.parent.name: path for path in sorted(Path("data").glob("*/preset.yaml"))}
    if name not in presets:
        raise ParamsError(
            explain(
                f"data set {name!r}",
                expected=", ".join(presets) or "a file data/<name>/preset.yaml",
                found="no such preset",
                remedy="run from the repository's root, or write that preset.yaml",
            )
        )
    load_params(presets[name])
    target = Path("params.yaml")
    old = target.read_text(encoding="utf-8") if target.is_file() else ""
    new = presets[name].read_text(encoding="utf-8")
    if old == new:
        typer.echo(f"params.yaml already is {presets[name]}")
        return
    difference = list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), "params.yaml", str(presets[name]), lineterm="", n=0)
    )
    for line in difference[:MAX_DIFFERENT_LINES]:
        typer.echo(line)
    if len(difference) > MAX_DIFFERENT_LINES:
        typer.echo(f"… and {len(difference) - MAX_DIFFERENT_LINES} more lines")
    write_text(target, new)
    typer.echo(f"params.yaml now is {presets[name]}; data/{name}/README.md says which files it expects")


@app.command()
def check() -> None:
    """Validate params.yaml as a whole; every stage does so too, but a stage that is up to date does not run."""
    load_params()


@app.command()
def audit(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Print what is known of the data set in params.yaml: its audit, its features, and the clips that have both."""
    dataset = load_params().dataset
    folder = Path("data") / dataset.name
    page = folder / "prepared" / ("audit.json" if as_json else "audit.md")
    if not page.is_file():
        raise PipelineError(
            explain(page, expected="what the prepare stage wrote", found="no file", remedy="run `dvc repro prepare`")
        )
    ledgers = {path.parent.name: load_ledger(path) for path in sorted(folder.glob("features/*/ledger.csv"))}
    summaries = {modality: summarise_ledger(rows, dataset.num_segments) for modality, rows in ledgers.items()}
    imports = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("features/*/import.json"))
    }
    load = load_parsing_manifest if dataset.task == "parsing" else load_manifest
    coverage = count_covered(load(folder / "prepared").clips, ledgers.values()) if len(ledgers) == 2 else {}
    text = page.read_text(encoding="utf-8")
    if as_json:
        features = {modality: asdict(summary) for modality, summary in summaries.items()}
        content = {"prepared": json.loads(text), "features": features, "imports": imports, "coverage": coverage}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    typer.echo(text)
    for modality, summary in summaries.items():
        typer.echo(f"## {modality.capitalize()} features\n\n{describe_in_full(summary)}\n")
        if modality in imports:
            from pipeline.released.stage import describe_facts

            typer.echo(f"Released: {describe_facts(imports[modality])}\n")
    if coverage:
        covered = ", ".join(f"{split} {row['num_covered']} of {row['num_clips']}" for split, row in coverage.items())
        typer.echo(f"Clips with both: {covered}; dataset.min_coverage is {dataset.min_coverage:.1%}.")
    if not summaries:
        typer.echo("No features yet: run `dvc repro extract_visual extract_audio`.")


@app.command()
def doctor(
    file: Annotated[Path, typer.Argument(help="A shard, a folder of shards, a released .h5 file or a .npy array.")],
    videos: Annotated[
        Path | None, typer.Option(help="Folder with videos of the file's rows; a few are extracted and compared.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Annotations.txt; if not given, the one beside the file.")
    ] = None,
    num_videos: Annotated[int, typer.Option(help="How many videos to extract.")] = 4,
    num_rows: Annotated[int, typer.Option(help="About how many rows to look at, spread over the file.")] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say what made a file of features, and with which parameters one's own would match it."""
    from pipeline.doctor.diagnosis import diagnose
    from pipeline.doctor.text import as_dict, describe

    params = load_params()
    diagnosis = diagnose(file, params, annotations=annotations, videos=videos, num_rows=num_rows, num_videos=num_videos)
    if as_json:
        typer.echo(json.dumps(as_dict(diagnosis), indent=2, ensure_ascii=False))
    else:
        typer.echo(describe(diagnosis, params))


@app.command()
def predict(
    videos: Annotated[list[Path], typer.Argument(help="Videos of any length.")],
    model: Annotated[Path, typer.Option(help="Output folder of the train stage, or a file of weights.")] = Path(
        "results/train"
    ),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything as JSON; - is standard output.")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row per event; - is standard output.")] = None,
    vtt: Annotated[Path | None, typer.Option(help="Folder for WebVTT, a cue per event or stretch.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Folder for timelines of what is seen, heard and said.")] = None,
    render: Annotated[Path | None, typer.Option(help="Folder for the videos with their predictions drawn in.")] = None,
    visual_weights: Annotated[
        Path | None, typer.Option(help="Local weights that the model's visual recipe knows by their hash.")
    ] = None,
    motion_weights: Annotated[Path | None, typer.Option(help="Likewise of its motion stream.")] = None,
    audio_weights: Annotated[Path | None, typer.Option(help="Likewise of the audio recipe.")] = None,
    pca_weights: Annotated[Path | None, typer.Option(help="Likewise of its principal components.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    gate: Annotated[
        Literal["authors", "global", "own"],
        typer.Option(help="Of a model that parses: a category counts in a window by its global or own probability."),
    ] = "authors",
) -> None:
    """Say where in any videos which events are: seen and heard at once, or, of a model that parses, either."""
    from pipeline.prediction.command import Targets, predict_files
    from pipeline.prediction.network import WeightFiles

    targets = Targets(json_file, csv_file, vtt, picture, render)
    files = WeightFiles(visual_weights, audio_weights, pca_weights, motion_weights)
    if predict_files(videos, model, targets, files=files, device=device, gate=gate):
        raise typer.Exit(1)


@app.command()
def import_features(
    raw: Annotated[
        Path | None, typer.Argument(help="Folder with the authors' files; if not given, data/<name>/raw.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the manifest and the shards.")] = Path(
        "results/imported/features"
    ),
) -> None:
    """Check the feature files that the authors of params.yaml's data set released, and write them as shards.

    `dvc repro` does the same of data/<name>/raw where features.source is released.
    """
    from pipeline.annotations.prepare import prepare
    from pipeline.features.recipes import Modality
    from pipeline.released.stage import import_features as import_released

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    params = load_params()
    folder = raw or Path("data") / params.dataset.name / "raw"
    prepare(params.dataset, raw=folder, output=output / "prepared", source="released")
    videos = load_videos(output / "prepared/videos.csv")
    modalities: tuple[Modality, ...] = ("visual", "audio")
    for modality in modalities:
        import_released(params, modality, videos, folder, output / modality)
    typer.echo(f"{output}: both modalities; to train on them, put the files into data/{params.dataset.name}/raw, write")
    typer.echo("features.source: released into params.yaml, and run `dvc repro`")


@app.command()
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A state dict in the authors' format (.pth, .pt, .tar).")],
    method: Annotated[str | None, typer.Option(help="Its method; if not given, train.method of params.yaml.")] = None,
    supervision: Annotated[Supervision | None, typer.Option(help="Likewise its supervision.")] = None,
    recipe: Annotated[
        RecipeName | None,
        typer.Option(help="Likewise: of weak CMRAN and CMBS, authors have a class for background, common have none."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the weights and their scores.")] = Path("results/imported"),
) -> None:
    """Load the authors' weights, say what was used, and score them on the test split of params.yaml's data set."""
    if (output / "history.csv").exists():
        raise CheckpointError(
            explain(output, expected="a folder for imported weights", found="a training run", remedy="name another one")
        )
    # Torch takes seconds to import, and the other commands do without.
    from pipeline.core.devices import choose_device
    from pipeline.evaluation.stage import evaluate_run
    from pipeline.training.checkpoints import SELECTIONS
    from pipeline.training.dataset import load_dataset
    from pipeline.training.importing import import_checkpoint as write_imported

    given = {"train.method": method, "train.supervision": supervision, "train.recipe": recipe}
    changes = {key: value for key, value in given.items() if value is not None}
    params = override(load_params(), changes, subject="import-checkpoint")
    folder = Path("data") / params.dataset.name
    dataset = load_dataset(params, folder / "prepared", folder / "features")
    weights = output / SELECTIONS["val"]
    imported = write_imported(file, params.train, dataset, weights)
    typer.echo(f"{weights}: {imported.num_used} tensors in {imported.precision} used, {len(imported.ignored)} ignored")
    for name in imported.ignored:
        typer.echo(f"  ignored, no output depends on it: {name}")
    evaluate_run(params.evaluate, dataset, output, output / "evaluate", choose_device(params.train.device))
    metrics = json.loads((output / "evaluate/metrics.json").read_text(encoding="utf-8"))
    name = dataset.score_name
    typer.echo(
        f"test: {metrics[name]:.2f} % {dataset.score_words} "
        f"[{metrics[f'{name}_low']:.2f}, {metrics[f'{name}_high']:.2f}], "
        f"{metrics['num_clips']} of {metrics['num_clips_expected']} clips; all of it in {output / 'evaluate'}"
    )


@app.command()
def verify_cache(
    cache: Annotated[Path, typer.Argument(help="Folder of DVC's cache.")] = Path(".dvc/cache/files/md5"),
) -> None:
    """Hash every file in DVC's cache again: a file changed through a link into it is not noticed by DVC."""
    if not cache.is_dir():
        raise PipelineError(
            explain(
                cache, expected="DVC's cache", found="no folder", remedy="name it; `dvc cache dir` prints its parent"
            )
        )
    damaged = []
    files = [path for path in sorted(cache.glob("??/*")) if path.is_file()]
    for path in files:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != path.parent.name + path.name.removesuffix(".dir"):
            damaged.append(path)
    if damaged:
        listed = ", ".join(str(path) for path in damaged[:10])
        raise PipelineError(
            explain(
                cache,
                expected="every file to have the hash it is named by",
                found=f"{len(damaged)} of {len(files)} changed: {listed}",
                remedy="delete these files and run `dvc repro`",
            )
        )
    typer.echo(f"{len(files)} files, each with the hash it is named by")

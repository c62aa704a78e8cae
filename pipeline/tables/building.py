"""The tables as text, before they become Markdown, LaTeX, CSV or HTML.

Two ways of choosing the epoch that is reported, on validation and on test, have columns of their own; a published
number stands beside the column of the way that its authors chose, or in a note where that is not known, and where the
row is trained otherwise than they did.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.metrics.statistics import Comparison, in_words
from pipeline.params.schema import EvaluateParams, Params
from pipeline.tables.definitions import Definitions, RowDefinition, TableDefinition
from pipeline.tables.plans import Plan
from pipeline.tables.published import Differences, Placement, describe, keeps_last, place, show
from pipeline.tables.reported import LEGEND, PROTOCOLS, SEGMENT_ACCURACY, Protocol, ReportedNumber
from pipeline.tables.scores import RowScores, Score, compare_rows

NO_VALUE = "–"
MINUS = "−"
TITLES: dict[Protocol, str] = {"validation": "Best epoch on validation", "test": "Best epoch on test"}


@dataclass(frozen=True)
class Column:
    """One column: the heading it shares with its neighbours, its own, and a text per row; what kind of text."""

    group: str
    heading: str
    cells: tuple[str, ...]
    is_number: bool = True
    is_score: bool = False


@dataclass(frozen=True)
class Table:
    """A table for people, and its values for programs.

    Parameters
    ----------
    name : str
        Of its files.
    title : str
    columns : tuple of Column
    sentences : tuple of str
        How each row compares with the base.
    notes : tuple of str
    values : tuple of mapping
        A row of the CSV each.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    values: tuple[Mapping[str, object], ...]


@dataclass(frozen=True)
class Results:
    """What tables are made from.

    Parameters
    ----------
    definitions : Definitions
    plans : mapping of str to Plan
        Of the selected rows and of every method.
    scores : mapping of str to RowScores
        Of the selected rows.
    reported : sequence of ReportedNumber
        Those that may be compared with the scores: :func:`pipeline.tables.published.comparable`.
    differences : mapping of str to Differences
        By a method's row, such as ``cpsp_full``, the settings in which it is not trained as published.
    params : EvaluateParams
        Of the intervals.
    """

    definitions: Definitions
    plans: Mapping[str, Plan]
    scores: Mapping[str, RowScores]
    reported: Sequence[ReportedNumber]
    differences: Mapping[str, Differences]
    params: EvaluateParams


@dataclass(frozen=True)
class _Row:
    """All that is known of one row."""

    definition: RowDefinition
    label: str
    scores: RowScores
    published: Placement
    comparison: Comparison | None

    def score(self, protocol: Protocol) -> Score | None:
        return self.scores.validation if protocol == "validation" else self.scores.test

    def difference(self, protocol: Protocol) -> float | None:
        """Return how far the score is above the published one, in points."""
        score, number = self.score(protocol), self.published.beside.get(protocol)
        if score is None or number is None or isinstance(number.value, list):
            return None
        return score.mean - number.value


def build_table(name: str, definition: TableDefinition, results: Results) -> Table | None:
    """Return a table of its selected rows; None if there are none, or the base alone of rows that the file lists.

    Published numbers are shown where no ablations are: no ablation has one, and the base has it elsewhere.

    Raises
    ------
    PipelineError
        If rows were scored on different videos.
    """
    definitions, scores, params = results.definitions, results.scores, results.params
    selected = [row for row in definition.rows if row in scores]
    ablations = [row for row in definition.rows if row in definitions.ablations]
    if not selected or not (definition.of_methods or set(selected) - {definition.base}):
        return None
    labels = {row: _label(definitions.rows[row], definition.shows, results.plans.get(row)) for row in definition.rows}
    base, base_label = scores.get(definition.base), labels[definition.base]
    rows = [
        _Row(
            definitions.rows[row],
            labels[row],
            scores[row],
            Placement({}) if ablations else _published(row, results),
            compare_rows(scores[row], base, params) if base is not None and row != definition.base else None,
        )
        for row in selected
    ]
    sentences = [in_words(row.comparison, row.label, base_label) for row in rows if row.comparison]
    return Table(
        name,
        definition.title,
        (*_head(rows), *_columns(rows, "validation", params), *_columns(rows, "test", params)),
        tuple(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences),
        (*_notes(rows, base, base_label), *_settings_of(rows, results)),
        tuple(_values(row, definition.base, base_label) for row in rows),
    )


def _published(name: str, results: Results) -> Placement:
    numbers = [number for number in results.reported if number.row == name]
    return place(numbers, results.definitions.rows[name], results.differences.get(name, {}))


def _label(row: RowDefinition, shows: str | None, plan: Plan | None) -> str:
    """Return a row's label, with the setting that the table is about where the row leaves it as it is."""
    if shows is None or shows in row.changes or plan is None:
        return row.label
    setting = shows.rpartition(".")[2].removeprefix("num_").replace("_", " ")
    return f"{row.label}, {setting} {show(plan.values[shows])}"


def _head(rows: Sequence[_Row]) -> list[Column]:
    seeds, clips = [], []
    for row in rows:
        finished, expected = row.scores.finished, len(row.scores.records)
        seeds.append(str(expected) if len(finished) == expected else f"{len(finished)} of {expected}")
        clips.append(f"{finished[0].num_clips} of {finished[0].num_clips_expected}" if finished else NO_VALUE)
    labels = tuple(row.label for row in rows)
    return [
        Column("", "", labels, is_number=False),
        Column("", "Seeds", tuple(seeds)),
        Column("", "Clips", tuple(clips)),
    ]


def _columns(rows: Sequence[_Row], protocol: Protocol, params: EvaluateParams) -> list[Column]:
    group = TITLES[protocol]
    scores = [row.score(protocol) for row in rows]
    columns = [
        Column(group, "Accuracy, %", tuple(_accuracy(score) for score in scores), is_score=True),
        Column(group, f"{100 * params.confidence:g} % interval", tuple(_interval(score) for score in scores)),
    ]
    if any(protocol in row.published.beside for row in rows):
        published = (row.published.beside.get(protocol) for row in rows)
        differences = (row.difference(protocol) for row in rows)
        columns += [
            Column(group, "Published", tuple(NO_VALUE if number is None else number.text for number in published)),
            Column(group, "Difference", tuple(_signed(difference) for difference in differences)),
        ]
    return columns


def _accuracy(score: Score | None) -> str:
    if score is None:
        return "no score"
    return f"{score.mean:.1f}" if score.deviation is None else f"{score.mean:.1f} ± {score.deviation:.1f}"


def _interval(score: Score | None) -> str:
    return NO_VALUE if score is None else f"{score.interval.low:.1f}–{score.interval.high:.1f}"


def _signed(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:+z.1f}".replace("-", MINUS)


def _notes(rows: Sequence[_Row], base: RowScores | None, base_label: str) -> list[str]:
    notes = []
    for row in rows:
        notes += [f"{row.label}: published {number.text}, {reason}." for number, reason in row.published.apart]
    notes += [
        f"{row.label}: the last validated epoch stands in place of the best on validation, as its authors have it."
        for row in rows
        if keeps_last(row.definition)
    ]
    for row in rows:
        notes += [f"{row.label}, seed {hole.seed}: {hole.reason}" for hole in row.scores.holes]
    if any(row.scores.finished and row.scores.holes for row in rows):
        notes.append("Where seeds are missing, mean and interval are of the others; they may be the luckier ones.")
    num_comparisons = sum(row.comparison is not None for row in rows)
    if num_comparisons > 1:
        notes.append(f"The p-values are not corrected for the {num_comparisons} comparisons of this table.")
    elif base is None and len(rows) > 1:
        notes.append(f"{base_label}, which the rows are compared with, was not selected.")
    if any(len(row.scores.finished) == 1 for row in rows):
        notes.append("The interval of a single seed is over videos alone: nothing is known of other seeds.")
    shown = [[*row.published.beside.values(), *(number for number, _ in row.published.apart)] for row in rows]
    return [*notes, *legend(number for numbers in shown for number in numbers)]


def _settings_of(rows: Sequence[_Row], results: Results) -> list[str]:
    names = dict.fromkeys(results.definitions.row_of_method(row.definition) for row in rows)
    differences, methods = results.differences, results.definitions.methods
    return [describe(methods[name], differences[name]) for name in names if name in differences]


def legend(numbers: Iterable[ReportedNumber]) -> list[str]:
    """Return what the marks of these reported numbers mean."""
    marks = {mark for number in numbers for mark in number.marks}
    return [f"{mark} {meaning}." for mark, meaning in LEGEND.items() if mark in marks]


def _values(row: _Row, base: str, base_label: str) -> dict[str, object]:
    finished = row.scores.finished
    values: dict[str, object] = {
        "row": row.scores.row,
        "label": row.label,
        "method": row.definition.method,
        "supervision": row.definition.supervision,
        "num_seeds": len(finished),
        "num_seeds_expected": len(row.scores.records),
        "num_clips": finished[0].num_clips if finished else "",
        "num_clips_expected": finished[0].num_clips_expected if finished else "",
    }
    for protocol in TITLES:
        score, number = row.score(protocol), row.published.beside.get(protocol)
        columns = {
            "mean": score.mean if score else None,
            "sd": score.deviation if score else None,
            "low": score.interval.low if score else None,
            "high": score.interval.high if score else None,
            "difference": row.difference(protocol),
        }
        values |= {f"{protocol}_selected_{key}": _plain(value) for key, value in columns.items()}
        values[f"{protocol}_selected_published"] = number.text if number else ""
        values[f"{protocol}_selected_provenance"] = number.provenance if number else ""
    comparison = row.comparison
    return {
        **values,
        "compared_with": base if comparison else "",
        **{
            f"compared_{key}": _plain(getattr(comparison, key, None))
            for key in ("difference", "low", "high", "p_value")
        },
        "in_words": in_words(comparison, row.label, base_label) if comparison else "",
        "without_score": "; ".join(f"seed {hole.seed}: {hole.reason}" for hole in row.scores.holes),
    }


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:z.4f}"


def build_reported(name: str, title: str, numbers: Sequence[ReportedNumber]) -> Table:
    """Return a table of what others reported, as it is in ``reported.yaml``."""
    fields: dict[str, list[str]] = {
        "Method": [number.method for number in numbers],
        "Data set": [number.dataset for number in numbers],
        "Setting": [_setting(number) for number in numbers],
        "%": [number.text for number in numbers],
        "Epoch": [PROTOCOLS[number.protocol] for number in numbers],
        "Features": [number.features or NO_VALUE for number in numbers],
        "Provenance": [number.provenance for number in numbers],
        "Source": ["; ".join(filter(None, (number.source, number.note))) for number in numbers],
    }
    values = tuple(
        {
            "method": number.method,
            "dataset": number.dataset,
            "metric": number.metric,
            "supervision": number.supervision or "",
            "percent": number.text,
            "protocol": number.protocol,
            "features": number.features or "",
            "provenance": number.provenance,
            "confidence": number.confidence or "",
            "source": number.source,
            "note": number.note or "",
        }
        for number in numbers
    )
    columns = tuple(
        Column("", heading, tuple(cells), is_number=heading == "%", is_score=heading == "%")
        for heading, cells in fields.items()
    )
    notes = (f"Percent; {SEGMENT_ACCURACY} where no other score is named.", *legend(numbers))
    return Table(name, title, columns, (), notes, values)


def _setting(number: ReportedNumber) -> str:
    metric = None if number.metric == SEGMENT_ACCURACY else number.metric
    return ", ".join(filter(None, (metric, number.supervision))) or NO_VALUE


def describe_caveats(params: Params, scores: Mapping[str, RowScores]) -> list[str]:
    """Return what must be known before any number is quoted: random weights, the data set, its split."""
    caveats = []
    records = [record for row in scores.values() for record in row.finished]
    random = sorted({modality for record in records for modality, name in record.weights.items() if _is_random(name)})
    if random:
        caveats.append(f"Random network weights ({', '.join(random)}): the scores say nothing about the methods.")
    if params.dataset.format == "synthetic":
        caveats.append("The embedded data set: the scores show that the pipeline works, nothing about the methods.")
    if params.dataset.split != "official":
        name = params.dataset.split.replace("_", "-")
        caveats.append(f"The {name} split: published numbers are of the official one and not shown beside it.")
    return caveats


def _is_random(weights: str) -> bool:
    return weights.partition(":")[0] == "random"

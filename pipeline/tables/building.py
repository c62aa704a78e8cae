"""The tables as text, before they become Markdown, LaTeX, CSV or HTML.

Two ways of choosing the epoch that is reported, on validation and on test, stand apart; a published number stands
beside the scores of the way that its authors chose, or in a note where that is not known, and where the row is trained
otherwise than they did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.metrics.statistics import in_words
from pipeline.params.schema import EvaluateParams, Params
from pipeline.tables.definitions import Definitions, RowDefinition, TableDefinition
from pipeline.tables.layouts import SIDE_BY_SIDE, Row, lay_out
from pipeline.tables.metrics import LEADING, METRICS, Metric
from pipeline.tables.plans import Plan
from pipeline.tables.published import Differences, Placement, describe, keeps_last, place, show
from pipeline.tables.reported import ReportedNumber, legend
from pipeline.tables.scores import RowScores, compare_rows
from pipeline.tables.table import Table


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

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The scores of the task by name."""
        return METRICS[self.definitions.task]

    @property
    def leading(self) -> str:
        """The score that rows are compared by."""
        return LEADING[self.definitions.task]


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
        Row(
            definitions.rows[row],
            labels[row],
            scores[row],
            Placement({}) if ablations else _published(row, results),
            compare_rows(scores[row], base, results.leading, params)
            if base is not None and row != definition.base
            else None,
        )
        for row in selected
    ]
    sentences = [_in_words(row, base_label, results) for row in rows if row.comparison]
    layout = lay_out(rows, results.metrics, params)
    return Table(
        name,
        definition.title,
        layout.columns,
        tuple(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences),
        (*_notes(rows, results.metrics, base, base_label), *_settings_of(rows, results)),
        tuple(values for row in rows for values in _values(row, definition.base, base_label, results)),
        layout.headings,
        layout.details,
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


def _in_words(row: Row, base_label: str, results: Results) -> str:
    """Return how a row compares with the base, and by which score if there are several; empty without a comparison."""
    if row.comparison is None:
        return ""
    words = in_words(row.comparison, row.label, base_label)
    return words if len(results.metrics) == 1 else f"{words}, in {results.metrics[results.leading].in_words}"


def _numbers_apart(row: Row, metrics: Mapping[str, Metric]) -> list[str]:
    """Return the published numbers that stand beside no score of a row, with the reason, a sentence each reason."""
    if len(metrics) == 1:
        return [f"{row.label}: published {number.text}, {reason}." for number, reason in row.published.apart]
    numbers: dict[str, list[str]] = {}
    for number, reason in row.published.apart:
        numbers.setdefault(reason, []).append(f"{metrics[number.metric].in_words} {number.text}")
    return [f"{row.label}: published {', '.join(listed)}; {reason}." for reason, listed in numbers.items()]


def _notes(rows: Sequence[Row], metrics: Mapping[str, Metric], base: RowScores | None, base_label: str) -> list[str]:
    notes = [note for row in rows for note in _numbers_apart(row, metrics)]
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


def _settings_of(rows: Sequence[Row], results: Results) -> list[str]:
    names = dict.fromkeys(results.definitions.row_of_method(row.definition) for row in rows)
    differences, methods = results.differences, results.definitions.methods
    return [describe(methods[name], differences[name]) for name in names if name in differences]


def _values(row: Row, base: str, base_label: str, results: Results) -> list[dict[str, object]]:
    """Return the rows of the CSV about one row: one of each score, which is named where there are several."""
    finished = row.scores.finished
    head: dict[str, object] = {
        "row": row.scores.row,
        "label": row.label,
        "method": row.definition.method,
        "supervision": row.definition.supervision,
    }
    of_clips: dict[str, object] = {
        "num_seeds": len(finished),
        "num_seeds_expected": len(row.scores.records),
        "num_clips": finished[0].num_clips if finished else "",
        "num_clips_expected": finished[0].num_clips_expected if finished else "",
    }
    without_score = "; ".join(f"seed {hole.seed}: {hole.reason}" for hole in row.scores.holes)
    return [
        {
            **head,
            **({"metric": metric} if len(results.metrics) > 1 else {}),
            **of_clips,
            **_scores(row, metric),
            **_compared(row if metric == results.leading else None, base, base_label, results),
            "without_score": without_score,
        }
        for metric in results.metrics
    ]


def _scores(row: Row, metric: str) -> dict[str, str]:
    """Return a score with either choice of the epoch, and what is published of it."""
    values: dict[str, str] = {}
    for protocol in SIDE_BY_SIDE:
        score, number = row.score(protocol, metric), row.number(protocol, metric)
        columns = {
            "mean": score.mean if score else None,
            "sd": score.deviation if score else None,
            "low": score.interval.low if score else None,
            "high": score.interval.high if score else None,
            "difference": row.difference(protocol, metric),
        }
        values |= {f"{protocol}_selected_{key}": _plain(value) for key, value in columns.items()}
        values[f"{protocol}_selected_published"] = number.text if number else ""
        values[f"{protocol}_selected_provenance"] = number.provenance if number else ""
    return values


def _compared(row: Row | None, base: str, base_label: str, results: Results) -> dict[str, str]:
    """Return how a row compares with the base; empty texts where it is not compared, or of None."""
    comparison = row.comparison if row else None
    return {
        "compared_with": base if comparison else "",
        **{
            f"compared_{key}": _plain(getattr(comparison, key, None))
            for key in ("difference", "low", "high", "p_value")
        },
        "in_words": _in_words(row, base_label, results) if row else "",
    }


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:z.4f}"


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

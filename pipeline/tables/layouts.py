"""Where the scores of rows stand in a table.

A task with one score has its two ways of choosing the epoch side by side, each with columns of its own. Where there are
ten scores, each has a column, and the two ways stand one below the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.metrics.statistics import Comparison
from pipeline.params.schema import EvaluateParams
from pipeline.tables.definitions import RowDefinition
from pipeline.tables.metrics import Metric
from pipeline.tables.published import Placement
from pipeline.tables.reported import Protocol, ReportedNumber
from pipeline.tables.scores import RowScores, Score
from pipeline.tables.table import NO_VALUE, Column

MINUS = "−"
SIDE_BY_SIDE: dict[Protocol, str] = {"validation": "Best epoch on validation", "test": "Best epoch on test"}
ONE_BELOW_THE_OTHER: dict[Protocol, str] = {"validation": "Epoch that the recipe keeps", "test": "Best epoch on test"}


@dataclass(frozen=True)
class Row:
    """All that is known of one row; `comparison` is that with the table's base, if there is any."""

    definition: RowDefinition
    label: str
    scores: RowScores
    published: Placement
    comparison: Comparison | None

    def score(self, protocol: Protocol, metric: str) -> Score | None:
        """Return a score with the epoch that the protocol chooses; None if no seed is finished."""
        return (self.scores.validation if protocol == "validation" else self.scores.test).get(metric)

    def number(self, protocol: Protocol, metric: str) -> ReportedNumber | None:
        """Return the published number that stands beside a score."""
        return self.published.beside.get((protocol, metric))

    def difference(self, protocol: Protocol, metric: str) -> float | None:
        """Return how far a score is above the published one, in points."""
        score, number = self.score(protocol, metric), self.number(protocol, metric)
        if score is None or number is None or isinstance(number.value, list):
            return None
        return score.mean - number.value


@dataclass(frozen=True)
class Layout:
    """Columns, and which of their lines have a heading or say more of the line above: as :class:`Table` has them."""

    columns: tuple[Column, ...]
    headings: Mapping[int, str] = field(default_factory=dict)
    details: frozenset[int] = frozenset()


def lay_out(rows: Sequence[Row], metrics: Mapping[str, Metric], params: EvaluateParams) -> Layout:
    """Return the scores of rows as columns.

    Parameters
    ----------
    rows : sequence of Row
    metrics : mapping of str to Metric
        Of the rows' task, by name.
    params : EvaluateParams
        Of the intervals.
    """
    if len(metrics) > 1:
        return _one_below_the_other(rows, metrics, params)
    ((name, metric),) = metrics.items()
    of_protocols = [_columns(rows, protocol, name, metric, params) for protocol in SIDE_BY_SIDE]
    return Layout((*_head(rows), *(column for columns in of_protocols for column in columns)))


def _head(rows: Sequence[Row]) -> list[Column]:
    labels, seeds, clips = zip(*map(_head_of, rows), strict=True)
    return [Column("", "", labels, is_number=False), Column("", "Seeds", seeds), Column("", "Clips", clips)]


def _head_of(row: Row) -> tuple[str, str, str]:
    """Return the label of a row, its seeds and its clips."""
    finished, expected = row.scores.finished, len(row.scores.records)
    seeds = str(expected) if len(finished) == expected else f"{len(finished)} of {expected}"
    clips = f"{finished[0].num_clips} of {finished[0].num_clips_expected}" if finished else NO_VALUE
    return row.label, seeds, clips


def _columns(
    rows: Sequence[Row], protocol: Protocol, name: str, metric: Metric, params: EvaluateParams
) -> list[Column]:
    group = SIDE_BY_SIDE[protocol]
    scores = [row.score(protocol, name) for row in rows]
    columns = [
        Column(group, metric.heading, tuple(map(_mean, scores)), is_score=True),
        Column(group, _of_interval(params), tuple(map(_interval, scores))),
    ]
    if any((protocol, name) in row.published.beside for row in rows):
        columns += [
            Column(group, "Published", tuple(_published(row.number(protocol, name)) for row in rows)),
            Column(group, "Difference", tuple(_signed(row.difference(protocol, name)) for row in rows)),
        ]
    return columns


def _one_below_the_other(rows: Sequence[Row], metrics: Mapping[str, Metric], params: EvaluateParams) -> Layout:
    lines: list[tuple[str, ...]] = []
    headings: dict[int, str] = {}
    details: list[int] = []
    for protocol, heading in ONE_BELOW_THE_OTHER.items():
        headings[len(lines)] = heading
        for row in rows:
            scores = [row.score(protocol, name) for name in metrics]
            lines.append((*_head_of(row), *map(_mean, scores)))
            start = len(lines)
            if any(scores):
                lines.append(_detail(_of_interval(params), map(_interval, scores)))
            if any(row.number(protocol, name) for name in metrics):
                lines += [
                    _detail("Published", (_published(row.number(protocol, name)) for name in metrics)),
                    _detail("Difference", (_signed(row.difference(protocol, name)) for name in metrics)),
                ]
            details += range(start, len(lines))
    labels, seeds, clips, *scores_of = zip(*lines, strict=True)
    head = [Column("", "", labels, is_number=False), Column("", "Seeds", seeds), Column("", "Clips", clips)]
    of_metrics = (
        Column(metric.group, metric.heading, cells, is_score=True)
        for metric, cells in zip(metrics.values(), scores_of, strict=True)
    )
    return Layout((*head, *of_metrics), headings, frozenset(details))


def _detail(label: str, cells: Iterable[str]) -> tuple[str, ...]:
    return (label, "", "", *cells)


def _of_interval(params: EvaluateParams) -> str:
    return f"{100 * params.confidence:g} % interval"


def _mean(score: Score | None) -> str:
    if score is None:
        return "no score"
    return f"{score.mean:.1f}" if score.deviation is None else f"{score.mean:.1f} ± {score.deviation:.1f}"


def _interval(score: Score | None) -> str:
    return NO_VALUE if score is None else f"{score.interval.low:.1f}–{score.interval.high:.1f}"


def _published(number: ReportedNumber | None) -> str:
    return NO_VALUE if number is None else number.text


def _signed(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:+z.1f}".replace("-", MINUS)

"""SVG as text: elements, paths, and lanes as bars. Colours of lines come from the page's style sheet."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from pipeline.drawing.timelines import Lane, TimeAxis
from pipeline.store.manifest import BACKGROUND


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an SVG element; text is escaped, ``class_`` means ``class`` and ``stroke_width`` ``stroke-width``.

    >>> element("text", "<b>", class_="tick", x=1.5)
    Markup('<text class="tick" x="1.5">&lt;b&gt;</text>')
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number_text(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{pairs}>{Markup('').join(children)}</{name}>")


def path_through(points: Sequence[tuple[float, float] | None]) -> str:
    """Return path data through `points`, lifting the pen at every gap."""
    commands, is_down = [], False
    for point in points:
        if point is not None:
            commands.append(f"{'L' if is_down else 'M'}{number_text(point[0])} {number_text(point[1])}")
        is_down = point is not None
    return "".join(commands)


def svg(
    parts: Sequence[str], width: float, height: float, style: str, *, title: str = "", **attributes: object
) -> Markup:
    """Return a drawing of `parts`, read out as its title; `style` is its class."""
    box = f"0 0 {number_text(width)} {number_text(height)}"
    named = [element("title", title), *parts] if title else parts
    return element("svg", *named, class_=style, viewBox=box, role="img", **attributes)


def number_text(value: object) -> str:
    """Return a number with two decimals at most, and anything else as it is.

    >>> number_text(0.5), number_text(1 / 3), number_text("a")
    ('0.5', '0.33', 'a')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def bars(lane: Lane, axis: TimeAxis, *, top: float, height: float, fills: Mapping[str, str]) -> list[Markup]:
    """Return a lane as a rectangle per span, of the classes ``background`` and ``masked`` where it is that."""
    parts = []
    for span in lane.spans:
        left, width = axis.box(span.start_seconds, span.stop_seconds)
        styles = ["background"] * (span.name == BACKGROUND) + ["masked"] * span.is_masked
        classes = {"class_": " ".join(styles)} if styles else {}
        parts.append(element("rect", x=left, y=top, width=width, height=height, fill=fills[span.name], **classes))
    return parts

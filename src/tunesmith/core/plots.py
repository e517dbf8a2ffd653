"""The few plots the dossier and the studio show, as SVG to stand inside an HTML page.

Each function takes plain data and returns one ``<svg>`` element: no script, no outside request, ids that cannot meet
those of another plot on the page, and the same bytes for the same data. Text stays text, in the reader's own font.
"""

from __future__ import annotations

import html
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from tunesmith.core.codec import digest_bytes
from tunesmith.core.errors import NothingToMeasure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Amount", "Interval", "Line", "amounts", "confusion", "curve", "growth", "intervals", "label_balance"]

# Okabe and Ito's palette: told apart with any colour vision; each meaning has its own shape or dash as well.
BLUE, VERMILION, SKY, GREEN, ORANGE = "#0072B2", "#C4500A", "#56B4E9", "#00805F", "#E69F00"
INK, MUTED, LINE, PAPER = "#1f2933", "#56616c", "#d5dbe1", "#ffffff"
SIDES = {"train": BLUE, "validation": ORANGE, "test": GREEN}
WIDTH = 7.2  # inches; 518 points, about 690 CSS pixels
ROW = 0.42
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tunesmith",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so places are measured alike everywhere; FONTS is shown
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.parse_math": False,  # a label may hold dollar signs
    "legend.frameon": False,
    "path.simplify": False,
}
# Characters that neither XML nor a page may hold; labels are anybody's text.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_drawing = threading.Lock()  # matplotlib's settings belong to the whole process


class Interval(NamedTuple):
    """A measured value and the ends of its interval."""

    name: str
    value: float
    low: float
    high: float
    text: str
    """The value as it is to be written beside it."""


class Amount(NamedTuple):
    """A named quantity; ``value`` None is written out as not known."""

    name: str
    value: float | None
    text: str


class Line(NamedTuple):
    """A named line through points (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


def intervals(rows: Sequence[Interval], *, bar: float | None = None, bar_text: str = "bar", axis: str = "") -> str:
    """Values with their intervals, one row each in the order given, and the bar as a dashed line.

    A filled blue dot: the whole interval reaches the bar. A ring: not shown. A vermilion square: the whole interval is
    below it.

    Raises:
        NothingToMeasure: There are no rows.
    """
    _some(rows, "no contender was measured")

    def draw(figure: Figure) -> None:
        axes = _rows(figure, [row.name for row in rows], right=0.75)
        for place, row in enumerate(rows):
            colour, marker, fill = _shape(row, bar)
            axes.plot([row.low, row.high], [place, place], color=colour, lw=2.4, solid_capstyle="round")
            axes.plot(row.value, place, marker, ms=8, color=colour, mfc=fill, mew=1.8)
            axes.text(1.02, place, row.text, transform=axes.get_yaxis_transform(), va="center")
        low, high = _limits(rows, bar)
        axes.set_xlim(low, high)
        axes.grid(axis="x")
        axes.set_xlabel(axis)
        if bar is not None:
            axes.axvline(bar, color=INK, lw=1.2, dashes=(4, 3), zorder=1)
            axes.annotate(bar_text, (bar, 1), xycoords=("data", "axes fraction"), xytext=(0, 4), fontweight="bold",
                          textcoords="offset points", ha="center", va="bottom")  # fmt: skip

    return _svg(draw, 0.95 + ROW * len(rows), f"{axis}: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def amounts(rows: Sequence[Amount], *, axis: str = "") -> str:
    """Bars for amounts such as costs; an amount that is not known has words and no bar.

    Raises:
        NothingToMeasure: No amount is known.
    """
    _some([row for row in rows if row.value is not None], "no amount is known")

    def draw(figure: Figure) -> None:
        axes = _rows(figure, [row.name for row in rows])
        top = max(abs(row.value) for row in rows if row.value is not None) or 1.0
        for place, row in enumerate(rows):
            if row.value is not None:
                axes.barh(place, row.value, height=0.5, color=BLUE)
            axes.annotate(row.text, (max(row.value or 0.0, 0.0), place), xytext=(5, 0), textcoords="offset points",
                          va="center", color=INK if row.value is not None else MUTED)  # fmt: skip
        lowest = min(0.0, *(row.value for row in rows if row.value is not None), 0.0)
        axes.set_xlim(lowest * 1.1, top * 1.15)
        axes.locator_params(axis="x", nbins=5)
        axes.axvline(0, color=LINE, lw=1)
        axes.set_xlabel(axis)
        axes.grid(axis="x")

    return _svg(draw, 0.7 + ROW * len(rows), f"{axis}: " + "; ".join(f"{row.name} {row.text}" for row in rows))


def curve(points: Sequence[Mapping[str, float]], *, best_step: int | None = None) -> str:
    """Loss by step: ``points`` hold ``step`` and, where they were measured, ``train_loss``, ``validation_loss`` and
    ``general_validation_loss``.

    Raises:
        NothingToMeasure: No point holds a loss.
    """
    lines = {
        key: [(point["step"], point[key]) for point in points if point.get(key) is not None]
        for key in ("train_loss", "validation_loss", "general_validation_loss")
    }
    _some([point for line in lines.values() for point in line], "no loss was logged")

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.09, 0.18, 0.74, 0.74))
        looks = {
            "train_loss": (SKY, "-", 1.4, "train"),
            "validation_loss": (BLUE, "o-", 2.0, "validation"),
            "general_validation_loss": (VERMILION, "s--", 1.4, "general"),
        }
        inks = {"train": MUTED, "validation": BLUE, "general": VERMILION}
        ends = {}
        for key, line in lines.items():
            if line:
                colour, marker, width, name = looks[key]
                axes.plot(*zip(*line, strict=True), marker, color=colour, lw=width, ms=5)
                ends[name] = line[-1][1]
        for name, height in _apart(ends, axes.get_ylim()).items():
            axes.annotate(name, (1, height), xycoords=("axes fraction", "data"), xytext=(6, 0), va="center",
                          textcoords="offset points", color=inks[name])  # fmt: skip
        if best_step is not None:
            axes.axvline(best_step, color=INK, lw=1, dashes=(4, 3), zorder=1)
            axes.annotate(f"best: step {best_step}", (best_step, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
                          textcoords="offset points", ha="center", va="bottom")  # fmt: skip
        axes.grid(axis="y")
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss per token")

    return _svg(draw, 3.0, "Loss by optimizer step")


def growth(lines: Sequence[Line], *, across: str, up: str) -> str:
    """How quantities grow, both axes logarithmic; the dashed line grows as the first quantity would in proportion.

    Raises:
        NothingToMeasure: There are no points.
    """
    _some([point for line in lines for point in line.points], "no point was measured")

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.09, 0.18, 0.68, 0.76))
        axes.loglog()
        (x, y), end = lines[0].points[0], max(point[0] for line in lines for point in line.points)
        axes.plot([x, end], [y, y * end / x], color=MUTED, lw=1, dashes=(4, 3), zorder=1)
        for line, colour, marker in zip(lines, (BLUE, VERMILION, GREEN, ORANGE), "osD^", strict=False):
            axes.plot(*zip(*line.points, strict=True), f"{marker}-", color=colour, lw=2.0, ms=5)
            axes.annotate(line.name, line.points[-1], xytext=(8, 0), textcoords="offset points", va="center",
                          color=colour, annotation_clip=False)  # fmt: skip
        axes.grid(axis="both")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")

    ends = "; ".join(f"{line.name} {line.points[-1][1]:.3g} at {line.points[-1][0]:,.0f}" for line in lines)
    return _svg(draw, 3.2, f"{up} by {across}: {ends}")


def confusion(table: Mapping[str, Mapping[str, int]], *, top: int = 12) -> str:
    """Counts by true label (rows) and predicted label (columns), shaded by the share of the row.

    Only the ``top`` commonest true labels have a row; answers outside them are counted in one last column.

    Raises:
        NothingToMeasure: The table is empty.
    """
    support = {truth: sum(row.values()) for truth, row in table.items()}
    _some([count for count in support.values() if count], "the confusion table is empty")
    truths = sorted(support, key=lambda label: (-support[label], label))[:top]
    outside = {label for truth in truths for label, count in table[truth].items() if count and label not in truths}
    columns = [*truths, *(outside if len(outside) == 1 else ["(others)"] if outside else [])]
    counts = [[table[truth].get(label, 0) for label in truths] for truth in truths]
    if outside:
        counts = [[*row, support[truth] - sum(row)] for row, truth in zip(counts, truths, strict=True)]

    def draw(figure: Figure) -> None:
        import numpy as np
        from matplotlib.colors import LinearSegmentedColormap

        height = figure.get_figheight()
        axes = figure.add_axes((0.24, 0.03, 0.74, 1 - 1.25 / height))
        shares = np.array(
            [[c / max(support[truth], 1) for c in row] for truth, row in zip(truths, counts, strict=True)]
        )
        shades = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#9fcbe6", BLUE])
        axes.pcolormesh(np.arange(len(columns) + 1) - 0.5, np.arange(len(truths) + 1) - 0.5, shares, cmap=shades,
                        vmin=0, vmax=1, edgecolors=LINE, linewidth=0.6)  # fmt: skip
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                if count:
                    axes.text(j, i, str(count), ha="center", va="center", color=PAPER if shares[i, j] > 0.6 else INK)
        axes.invert_yaxis()
        axes.set_yticks(range(len(truths)), [_short(t, 22) for t in truths])
        axes.set_xticks(range(len(columns)), [_short(c, 16) for c in columns], rotation=35, ha="left")
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", colors=INK)
        axes.set_ylabel("true label")
        axes.set_title("answered label", fontsize=9, color=MUTED, loc="left", pad=8)
        for spine in axes.spines.values():
            spine.set_visible(False)

    return _svg(draw, 1.35 + 0.36 * len(truths), "Confusion table: true label by answered label")


def label_balance(counts: Mapping[str, Mapping[str, int]], *, top: int = 15) -> str:
    """Examples per label, the sides (train, validation, test) stacked; rare labels beyond ``top`` under "others".

    Raises:
        NothingToMeasure: No label has an example.
    """
    total = {label: sum(sides.values()) for label, sides in counts.items()}
    _some([count for count in total.values() if count], "no label has an example")
    ranked = sorted(total, key=lambda label: (-total[label], label))
    shown = {_short(label, 26): counts[label] for label in ranked[:top]}
    if len(ranked) > top:
        rest = [counts[label] for label in ranked[top:]]
        shown[f"{len(rest)} others"] = {side: sum(row.get(side, 0) for row in rest) for side in SIDES}

    def draw(figure: Figure) -> None:
        axes = _rows(figure, list(shown))
        for place, sides in enumerate(shown.values()):
            left = 0
            for side, colour in SIDES.items():
                axes.barh(place, sides.get(side, 0), left=left, height=0.56, color=colour, edgecolor=PAPER, lw=0.8)
                left += sides.get(side, 0)
            axes.annotate(f"{left:,}", (left, place), xytext=(5, 0), textcoords="offset points", va="center")
        for side, colour in SIDES.items():
            if any(row.get(side) for row in shown.values()):
                axes.bar(0, 0, color=colour, label=side)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, borderpad=0.2, handlelength=1)
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=6, integer=True)
        axes.set_xlabel("examples")
        axes.grid(axis="x")

    return _svg(draw, 0.95 + 0.32 * len(shown), "Examples per label: " + _spoken({k: total[k] for k in ranked[:top]}))


def _rows(figure: Figure, names: Sequence[str], right: float = 0.92) -> Axes:
    """Axes with one named row each, the first on top; as much room on the left as the longest name takes."""
    height = figure.get_figheight()
    names = [_short(name, 26) for name in names]
    left = max(0.012 * max(map(len, names)) + 0.02, 0.1)
    axes = figure.add_axes((left, 0.5 / height, right - left, 1 - 0.85 / height))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    return axes


def _shape(row: Interval, bar: float | None) -> tuple[str, str, str]:
    """Colour, marker and fill that say where the interval stands."""
    if bar is None or row.low >= bar:
        return BLUE, "o", BLUE
    return (VERMILION, "s", VERMILION) if row.high < bar else (MUTED, "o", PAPER)


def _limits(rows: Sequence[Interval], bar: float | None) -> tuple[float, float]:
    lows, highs = [row.low for row in rows], [row.high for row in rows]
    if bar is not None:
        lows, highs = [*lows, bar], [*highs, bar]
    if min(lows) >= 0 and max(highs) <= 1:
        return -0.01, 1.01
    room = (max(highs) - min(lows)) * 0.06 or 1.0
    return min(lows) - room, max(highs) + room


def _apart(ends: Mapping[str, float], limits: tuple[float, float]) -> dict[str, float]:
    """Heights for the names at the lines' ends, moved apart where they would meet."""
    room = (limits[1] - limits[0]) * 0.08
    placed: dict[str, float] = {}
    for name, height in sorted(ends.items(), key=lambda end: end[1]):
        last = max(placed.values(), default=float("-inf"))
        placed[name] = max(height, last + room)
    return placed


def _short(text: str, length: int) -> str:
    """One line, cut where it is long."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _spoken(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{name} {count:,}" for name, count in counts.items())


def _some(rows: Sequence[Any], why: str) -> None:
    if not rows:
        raise NothingToMeasure(f"There is nothing to plot: {why}.", "measure it first with `tunesmith evaluate`")


def _svg(draw: Callable[[Figure], None], height: float, words: str) -> str:
    """Draw on a fresh figure and hand back its SVG, ready to stand in a page; ``words`` say it to a screen reader."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    content = StringIO()
    with _drawing, mpl.rc_context(STYLE), warnings.catch_warnings():
        # Places of letters the bundled font lacks are guessed; the reader's browser has a font for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure = Figure(figsize=(WIDTH, height), facecolor=PAPER)
        FigureCanvasSVG(figure)
        draw(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", metadata=nothing)
    return _inline(content.getvalue(), words)


def _inline(svg: str, words: str) -> str:
    """Strip what only a file of its own needs, and make what remains safe beside other plots."""
    svg, words = (UNPRINTABLE.sub("�", text) for text in (svg[svg.index("<svg") :].strip(), words))
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style type=\"text/css\">.*?</style>\s*", "", svg, flags=re.DOTALL)  # would style the whole page
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("'DejaVu Sans'", FONTS)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    mark = f"p{digest_bytes(svg.encode())[:8]}"
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{mark}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{mark}-", svg)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    box = size[0] if size else ""
    root = f'<svg class="plot" role="img" aria-label="{html.escape(words)}" {box} stroke-linejoin="round">'
    return root + re.sub(r"^<svg[^>]*>", "", svg).replace("xlink:href", "href")

"""Writers of series over time: a line per figure for the terminal, and one static page with drawings that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from pipelines.workflows.report import Series

BLOCKS = "▁▂▃▄▅▆▇█"
WORDS = ("One point per build, at the day as of which it was made. The dashed line is the limit that the policy sets; a build beyond it is not "
         "published.")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 250, 110, 40, 8, 8, 18
CLOSE = 11  # nearer to the limit's number than this another one would run into it
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #6a6a6a; --line: #d9d9d9; --data: #1f5fa8; --limit: #b3541e; --page: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0; --line: #3a3a3a; --data: #7db3ee; --limit: #e8935c; --page: #161616 } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; border-top: 1px solid var(--line); padding-top: .8rem }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 1.6rem } figure { margin: 0; width: 250px } figcaption { font-size: .85rem; color: var(--soft) }
figcaption b { color: var(--ink) } svg text { font: 10px system-ui, sans-serif; fill: var(--soft) }
.beyond b { color: var(--limit) }
"""


def sparkline(values: Sequence[float]) -> str:
    """Up to 24 values, the newest last, as blocks between their smallest and greatest."""
    shown = list(values)[-24:]
    low, high = min(shown), max(shown)
    return "".join(BLOCKS[round((value - low) / (high - low) * 7) if high > low else 3] for value in shown)


def number(series: Series, value: float) -> str:
    if series.percent:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.3g}"


def limit_words(series: Series) -> str:
    if series.limit is None:
        return ""
    return f"{'at least' if series.bound == 'min' else 'at most'} {number(series, series.limit)}"


def text_rows(found: Sequence[Series]) -> list[list[object]]:
    """One row per series for a table: what, figure, course, newest value, limit, builds."""
    return [[s.subject, s.figure, sparkline([value for _, value in s.points]), number(s, s.last), limit_words(s) or None, len(s.points)]
            for s in found]


def page(found: Sequence[Series], title: str) -> str:
    """The whole page: a drawing per figure, marts one below the other."""
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{escape(title)}</title><style>{STYLE}</style>"
    parts = [f"<!doctype html><html lang='en'>{head}<h1>{escape(title)}</h1><p>{WORDS}</p>"]
    for subject, group in groupby(found, key=lambda series: series.subject):
        parts.append(f"<h2>{escape(subject)}</h2><div class='figures'>{''.join(map(_figure, group))}</div>")
    return "".join(parts) + "</html>\n"


def _figure(series: Series) -> str:
    limit = f", {limit_words(series)}" if series.limit is not None else ""
    state = "" if series.kept else " class='beyond'"
    return (f"<figure{state}>{_drawing(series)}<figcaption>{escape(series.figure)}: <b>{escape(number(series, series.last))}</b>{escape(limit)}"
            "</figcaption></figure>")


def _drawing(series: Series) -> str:
    values = [value for _, value in series.points]
    low = min([0.0, *values])
    high = max([*values, series.limit or 0.0]) * 1.08 or 1.0
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(place: int) -> float:
        return LEFT + inner * (place / (len(values) - 1) if len(values) > 1 else 0.5)

    def up(value: float) -> float:
        return TOP + tall * (1 - (value - low) / (high - low))

    points = " ".join(f"{across(i):.1f},{up(value):.1f}" for i, value in enumerate(values))
    dots = "".join(f"<circle cx='{across(i):.1f}' cy='{up(value):.1f}' r='2.5' fill='var(--data)'>"
                   f"<title>{escape(at)}: {escape(number(series, value))}</title></circle>" for i, (at, value) in enumerate(series.points))
    drawn = f"<line x1='{LEFT}' y1='{up(low):.1f}' x2='{WIDTH - RIGHT}' y2='{up(low):.1f}' stroke='var(--line)'/>"
    if series.limit is None or abs(up(series.limit) - up(low)) >= CLOSE:
        drawn += f"<text x='{LEFT - 5}' y='{up(low) + 3:.1f}' text-anchor='end'>{escape(number(series, low))}</text>"
    top = max(values)
    close = series.limit is not None and abs(up(series.limit) - up(top)) < CLOSE
    if top > low and not close:
        drawn += f"<text x='{LEFT - 5}' y='{up(top) + 3:.1f}' text-anchor='end'>{escape(number(series, top))}</text>"
    if series.limit is not None:
        at = up(series.limit)
        drawn += f"<line x1='{LEFT}' y1='{at:.1f}' x2='{WIDTH - RIGHT}' y2='{at:.1f}' stroke='var(--limit)' stroke-dasharray='4 3'/>"
        drawn += f"<text x='{LEFT - 5}' y='{at + 3:.1f}' text-anchor='end' style='fill:var(--limit)'>{escape(number(series, series.limit))}</text>"
    first, last = series.points[0][0], series.points[-1][0]
    days = f"<text x='{LEFT}' y='{HEIGHT - 5}'>{escape(first)}</text>" if len(values) > 1 else ""
    days += f"<text x='{WIDTH - RIGHT}' y='{HEIGHT - 5}' text-anchor='end'>{escape(last)}</text>"
    size = f"viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}'"
    return (f"<svg {size} role='img' aria-label='{escape(series.figure, quote=True)}'>{drawn}"
            f"<polyline points='{points}' fill='none' stroke='var(--data)' stroke-width='1.5'/>{dots}{days}</svg>")

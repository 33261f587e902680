"""Figure of the predictions over a video: the top label at each time, and the probabilities of the leading labels."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

from gesta.schema import Prediction
from gesta.words import in_english

LINES = 5
"""Number of labels with a curve: those that were on top most often, then the most probable ones."""
WIDTH, LANE, HIGH, LEFT, BOTTOM = 900, 22, 180, 36, 44
COLORS = (
    ("#2563b0", "#7ab0f5"),
    ("#b6401c", "#f3937a"),
    ("#6d4bb3", "#b9a2f2"),
    ("#0b7470", "#5fd0c8"),
    ("#a3297c", "#f08ecb"),
)
OTHERS = ("#667085", "#9aa5bb")
TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600)
MOST_TICKS = 12


def timeline(title: str, answers: Sequence[tuple[float, Prediction]]) -> str:
    """SVG figure from predictions and the times of their frames, in order, at least one."""
    until_s = max(answers[-1][0], 1e-3)
    names = leading([found for _, found in answers])
    curves = [_curve(answers, name, number, until_s) for number, name in enumerate(names)]
    body = "".join([*_axes(until_s), *_lane(answers, names, until_s), *curves])
    key = "".join(
        f'<tspan class="t{n}" dx="{14 * (n > 0)}">&#9632;</tspan><tspan dx="4">{_said(name, answers)}</tspan>'
        for n, name in enumerate(names)
    )
    height = 30 + LANE + HIGH + BOTTOM
    rules = "".join(_rules(n, light) for n, (light, _) in enumerate((*COLORS, OTHERS)))
    dark = "".join(_rules(n, shade) for n, (_, shade) in enumerate((*COLORS, OTHERS)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 12} {height}" role="img">'
        f"<title>{html.escape(title)}</title><style>text{{font:12px system-ui,sans-serif;fill:#525d78}}"
        f".page{{fill:#fff}}.rule{{stroke:#dfe3ec}}path{{fill:none;stroke-width:2}}{rules}"
        f"@media(prefers-color-scheme:dark){{text{{fill:#a6b0c6}}.page{{fill:#10141c}}.rule{{stroke:#2b3344}}{dark}}}</style>"
        f'<rect class="page" width="100%" height="100%"/><g transform="translate({LEFT} 22)">'
        f'<text y="-6">{key}</text>{body}</g></svg>\n'
    )


def leading(answers: Sequence[Prediction]) -> list[str]:
    """The labels shown as curves."""
    led = Counter(found.label for found in answers)
    top = {name: max(found.probabilities[name] for found in answers) for name in answers[0].probabilities}
    return sorted(top, key=lambda name: (-led[name], -top[name], name))[:LINES]


def _rules(number: int, color: str) -> str:
    return f".c{number}{{stroke:{color}}}.t{number}{{fill:{color}}}"


def _said(name: str, answers: Sequence[tuple[float, Prediction]]) -> str:
    return html.escape(in_english(name, answers[0][1].probabilities))


def _x(time_s: float, until_s: float) -> float:
    return round(WIDTH * time_s / until_s, 1)


def _y(share: float) -> float:
    return round(LANE + 8 + HIGH * (1 - share), 1)


def _axes(until_s: float) -> list[str]:
    step_s = next((one for one in TICKS_S if until_s / one <= MOST_TICKS), TICKS_S[-1])
    across = [
        f'<line class="rule" x2="{WIDTH}" y1="{_y(share)}" y2="{_y(share)}"/>'
        f'<text x="-6" y="{_y(share) + 4}" text-anchor="end">{share:g}</text>'
        for share in (0, 0.5, 1)
    ]
    ticks = [number * step_s for number in range(int(until_s / step_s + 1e-6) + 1)]
    return across + [
        f'<text x="{_x(tick, until_s)}" y="{_y(0) + 18}" text-anchor="middle">{tick:g} s</text>' for tick in ticks
    ]


def _lane(answers: Sequence[tuple[float, Prediction]], names: Sequence[str], until_s: float) -> list[str]:
    """A bar for each run of the same label."""
    bars, begun = [], 0
    for place in range(1, len(answers) + 1):
        if place < len(answers) and answers[place][1].label == answers[begun][1].label:
            continue
        start_s, label = answers[begun][0], answers[begun][1].label
        end_s = answers[min(place, len(answers) - 1)][0]
        number = names.index(label) if label in names else LINES
        width = max(_x(end_s, until_s) - _x(start_s, until_s), 1)
        told = f"{_said(label, answers)}, {start_s:.2f} to {end_s:.2f} s"
        place_of = f'x="{_x(start_s, until_s)}" width="{width:.1f}" height="{LANE}"'
        bars.append(f'<rect class="t{number}" {place_of}><title>{told}</title></rect>')
        begun = place
    return bars


def _curve(answers: Sequence[tuple[float, Prediction]], name: str, number: int, until_s: float) -> str:
    """A curve with one point per prediction."""
    points, before = [], None
    for time_s, found in answers:
        if found is not before:
            points.append(f"{_x(time_s, until_s)} {_y(found.probabilities[name])}")
            before = found
    return f'<path class="c{number}" d="M{" L".join([*points, f"{WIDTH} {_y(answers[-1][1].probabilities[name])}"])}"/>'

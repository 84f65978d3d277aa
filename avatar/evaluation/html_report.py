"""The report as one HTML file: tables, pictures and curves inside it, nothing fetched, no script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from avatar.evaluation import frechet, paper_table
from avatar.evaluation.bootstrap import LEVEL
from avatar.evaluation.contact_sheet import WORST_BY, Shown
from avatar.evaluation.evaluation import ClipResult, CrossResult, Report
from avatar.evaluation.metrics import CROSS_METRICS, FRECHET, METRICS, Metric
from avatar.evaluation.motion import SIGNALS
from avatar.evaluation.person import FF, FT, FULL, UNMOVED, WARP
from avatar.evaluation.scores import CROSS_ASIDE, REAL, Scores, TotalScores, best
from avatar.evaluation.signal_curves import curves
from avatar.evaluation.tables import ARROWS, SIGNAL_TITLES, number, verdict

TITLES = {UNMOVED: "unmoved", WARP: "warp", FF: "FF", FT: "FT", FULL: "full", REAL: "real"}
CURVES = ("jaw_open", "blink", "smile", "yaw", "pitch")
DEGREES = ("yaw", "pitch")
VERDICTS = {"+": ("better", "better"), "−": ("worse", "worse"), "·": ("open", "may be chance"), "": ("", "")}

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5c6570;--back:#fff;--panel:#f4f6f8;--rule:#d5dbe1;
--driver:#8a929c;--warp:#2f8f5b;--ff:#1f6feb;--ft:#c2570c;--full:#8250df;--good:#14713a;--bad:#b42318}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#a0a8b2;--back:#14171b;--panel:#1d2228;--rule:#353c45;
--driver:#98a1ac;--warp:#5cc38b;--ff:#6ea8fe;--ft:#f0955b;--full:#b392f0;--good:#63d08c;--bad:#ff8a7d}}
*{box-sizing:border-box}body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.2rem;margin:2em 0 .4em}
h3{font-size:1rem;margin:1.5em 0 .4em}p,li,dd{color:var(--soft)}p{margin:.4em 0}
.wide{overflow-x:auto;margin:.5rem 0;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--back)}
th{font-weight:600}th small,td small{color:var(--soft);font-weight:400}
td.group,th.group{border-left:2px solid var(--rule)}
.best{font-weight:700;color:var(--good)}.better{color:var(--good)}.worse{color:var(--bad)}.open{color:var(--soft)}
details,details th:first-child,details td:first-child{background:var(--panel)}
details{border-radius:.5rem;padding:.5rem .8rem;margin:.6rem 0}summary{cursor:pointer}
.sheet{min-width:44rem}.sheet img{display:block;width:100%;height:auto}.sheet p{font-size:.8rem;margin:.35rem 0 .1rem}
.worst{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr))}
figure{margin:0}figure img{display:block;width:100%;height:auto}figcaption{font-size:.8rem;color:var(--soft)}
.curves{display:grid;gap:.6rem;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr))}
svg{display:block;width:100%;height:auto}svg text{font-size:10px;fill:var(--soft)}.axis{fill:none;stroke:var(--rule)}
.line{fill:none;stroke-width:1.4;stroke-linejoin:round}.line.driver{stroke:var(--driver);stroke-width:4;opacity:.55}
.line.landmark_warp{stroke:var(--warp);stroke-dasharray:3 2}.line.ff{stroke:var(--ff)}.line.ft{stroke:var(--ft)}
.line.full{stroke:var(--full)}
.key span{display:inline-block;margin-right:1rem;font-size:.85rem}.key i{display:inline-block;width:1.4em;height:.25em;
vertical-align:middle;margin-right:.35em}dt{font-weight:600;margin-top:.6em}dd{margin:0}
"""


def as_html(report: Report) -> str:
    """The whole page."""
    totals, cross_totals = report.totals(), report.cross_totals()
    body = [_head(report)]
    if totals:
        body += ["<h2>In the paper's layout</h2>", _paper(report)]
        body += ["<h2>Self-reenactment: all metrics</h2>", _values_table(METRICS, totals, "clips", (REAL,))]
        body += ["<h3>Differences that are more than chance</h3>", _interval_note()]
        body += [_intervals(METRICS, total, shots) for shots, total in totals.items()]
        body.append("<h2>Self-reenactment, clip by clip</h2>" + _key(report))
        body += [_clip(result, shots) for shots in totals for result in report.clips[shots]]
    if cross_totals:
        body += ["<h2>Cross-reenactment</h2><p>Another person's clip drives, in relative mode, as a camera would.</p>"]
        body += [_values_table(CROSS_METRICS, cross_totals, "pairs", CROSS_ASIDE), _interval_note()]
        body += [_intervals(CROSS_METRICS, total, shots) for shots, total in cross_totals.items()]
        body.append(_key(report))
        body += [_pair(result, shots) for shots in cross_totals for result in report.cross[shots]]
    body += ["<h2>What the metrics mean</h2>", _definitions(report), _failed(report)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>visavis evaluation, {escape(report.model)}</title><style>{STYLE}</style></head><body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def _head(report: Report) -> str:
    clips = max((len(found) for found in report.clips.values()), default=0)
    shots = ", ".join(str(n) for n in sorted(report.clips)) or "none"
    lines = [
        f"Model {report.model}. {report.date}. {report.machine}.",
        f"{report.engine_line}.",
        f"{clips} clip{'s' if clips != 1 else ''}; T = {shots} source frames from the first half.",
        "The same frames of the second half are predicted for every T. The first source's crop cuts all pictures.",
    ]
    if report.ft_minutes is not None:
        lines.append(
            f"FT: at most {report.ft_minutes:g} minutes a clip and T, kept only when better on held-out photos."
        )
    return "<h1>visavis evaluation</h1>" + "".join(f"<p>{escape(line)}</p>" for line in lines)


def _paper(report: Report) -> str:
    rows = paper_table.paper_rows(report)
    winners = paper_table.best_rows(rows)
    head = "".join(f"<th>{escape(heading)}</th>" for heading in paper_table.HEADINGS)
    lines = [
        "".join(_cell(cell, (i, column) in winners) for column, cell in enumerate(row.cells()))
        for i, row in enumerate(rows)
    ]
    notes = "".join(f"<p>{escape(note)}</p>" for note in paper_table.notes(report))
    return _table(f"<tr>{head}</tr>", lines) + notes


def _values_table(metrics: Sequence[Metric], totals: Mapping[int, TotalScores], what: str, aside: Sequence[str]) -> str:
    """Metrics down; across, for each T its systems."""
    systems = {shots: tuple(total.values) for shots, total in totals.items()}
    groups = "".join(
        f'<th class="group" colspan="{len(systems[n])}" style="text-align:left">T = {n}</th>' for n in totals
    )
    names = "".join(f"<th{_group(k)}>{TITLES[system]}</th>" for n in totals for k, system in enumerate(systems[n]))
    lines = [
        f"<td>{escape(metric.label)} <small>{escape(metric.unit)}</small> {ARROWS[metric.better]}</td>"
        + "".join(
            _values(systems[n], {s: t.values[s].get(metric.key) for s in systems[n]}, metric, aside)
            for n, t in totals.items()
        )
        for metric in metrics
    ]
    samples = next(iter(totals.values())).samples
    lines.append(
        f"<td>{FRECHET.label} <small>n={samples[0]}</small> ↓</td>"
        + "".join(
            _values(systems[n], {s: t.frechet.get(s) for s in systems[n]}, FRECHET, aside) for n, t in totals.items()
        )
    )
    lost = ["–" if s not in t.lost else str(t.lost[s]) for n, t in totals.items() for s in systems[n]]
    width = [k for n in totals for k in range(len(systems[n]))]
    lines.append(
        "<td>Face lost <small>frames</small> ↓</td>"
        + "".join(f"<td{_group(k)}>{cell}</td>" for k, cell in zip(width, lost, strict=True))
    )
    motion = Metric("r", "r", "", "higher", "")
    for signal in SIGNALS:
        cells = "".join(
            _values(
                systems[n], {s: t.pooled[s][signal].r if s in t.pooled else None for s in systems[n]}, motion, aside
            )
            for n, t in totals.items()
        )
        lines.append(f"<td>r {SIGNAL_TITLES[signal]} ↑</td>{cells}")
    note = (
        f"Means of the {what}’ values; correlations over all frames, each clip centred first. Bold: the best of its T."
    )
    return _table(f"<tr><th></th>{groups}</tr><tr><th></th>{names}</tr>", lines) + f"<p>{note}</p>"


def _values(systems: Sequence[str], values: Mapping[str, float | None], metric: Metric, aside: Sequence[str]) -> str:
    winner = best(values, metric.better, aside)
    return "".join(_cell(number(values[s]), s == winner, group=k == 0) for k, s in enumerate(systems))


def _interval_note() -> str:
    return (
        f"<p>Paired differences per frame, with the interval that holds {LEVEL:.0%} of resampled means (block "
        "bootstrap within the clips). It speaks of these clips: what other people would give, it cannot say.</p>"
    )


def _intervals(metrics: Sequence[Metric], total: TotalScores, shots: int) -> str:
    names = tuple(total.differences)
    titles = (" − ".join(TITLES[part] for part in name.split(" - ")) for name in names)
    head = "<tr><th></th>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
    lines = []
    for metric in metrics:
        cells = []
        for name in names:
            found = total.differences[name][metric.key]
            style, word = VERDICTS[verdict(found, metric.better)]
            if found is None:
                cells.append("<td>–</td>")
            else:
                between = f"<small>[{found.low:+.4f}, {found.high:+.4f}]</small>"
                cells.append(f'<td class="{style}">{found.mean:+.4f} {between} {word}</td>')
        lines.append(f"<td>{escape(metric.label)} {ARROWS[metric.better]}</td>" + "".join(cells))
    return f"<details open><summary>T = {shots}</summary>{_table(head, lines)}</details>"


def _clip(result: ClipResult, shots: int) -> str:
    about = f"{len(result.target_frames)} of {result.frame_count} frames predicted"
    if result.without_face:
        about += f"; {result.without_face} show no face"
    about += f". Sources: frames {', '.join(map(str, result.source_frames))}."
    if result.tuning is not None:
        tuning = result.tuning
        kept = "kept" if tuning.kept else "not kept, so FT shows FF's pictures"
        about += f" Fine-tuning: {tuning.steps} steps in {tuning.seconds:.0f} s, {kept}: {tuning.reason}."
    if result.damage:
        about += f" {result.damage}"
    worst = "".join(
        f"<p>Frames where {TITLES[system]} is farthest from the real picture (EfficientNet-Lite0): "
        f'source, real, landmark warp, {TITLES[system]}.</p><div class="worst">'
        + "".join(
            f"<figure>{_image(one.shown)}<figcaption>frame {one.frame}: {one.value:.3f}</figcaption></figure>"
            for one in found
        )
        + "</div>"
        for system, found in result.worst.items()
    )
    lead = result.scores.values
    line = ", ".join(f"{TITLES[s]} {number(found[WORST_BY])}" for s, found in lead.items() if s not in (REAL, UNMOVED))
    return (
        f"<details{' open' if shots == 1 else ''}><summary>{escape(result.name)}, T = {shots} "
        f"<small>features: {line}</small></summary>"
        f"<p>{escape(about)}</p>{_sheet(result.sheet)}{worst}{_curves(result.target_frames, result.scores)}</details>"
    )


def _pair(result: CrossResult, shots: int) -> str:
    lead = result.scores.values
    line = ", ".join(f"{TITLES[s]} {number(found['csim'])}" for s, found in lead.items())
    return (
        f"<details{' open' if shots == 1 else ''}><summary>{escape(result.driver)} drives {escape(result.source)}, "
        f"T = {shots} <small>CSIM: {line}</small></summary>"
        f"{_sheet(result.sheet)}{_curves(result.target_frames, result.scores)}</details>"
    )


def _sheet(strips: Sequence[Shown]) -> str:
    rows = "".join(f"<p>{escape(strip.label)}</p>{_image(strip)}" for strip in strips)
    return f'<div class="wide"><div class="sheet">{rows}</div></div>'


def _curves(frames: tuple[int, ...], scores: Scores) -> str:
    systems = [s for s in (WARP, FF, FT, FULL) if s in scores.output_signals]
    found = scores.correlations
    figures = []
    for name in CURVES:
        k = SIGNALS.index(name)
        lines = {"driver": scores.driver_signals[:, k]} | {s: scores.output_signals[s][:, k] for s in systems}
        r = ", ".join(f"{TITLES[s]} {'–' if (v := found[s][name].r) is None else f'{v:.2f}'}" for s in systems)
        title = SIGNAL_TITLES[name]
        svg = curves(frames, lines, f"{title} over the frames", "°" if name in DEGREES else "")
        figures.append(f"<figure>{svg}<figcaption>{title}. r: {r}</figcaption></figure>")
    return f'<h3>Signals over the frames</h3><div class="curves">{"".join(figures)}</div>'


def _key(report: Report) -> str:
    ours = {system: TITLES[system] for system in (FF, FT, FULL) if system in report.systems}
    names = {"driver": "driver", "warp": "landmark warp"} | ours
    items = "".join(f'<span><i style="background:var(--{k})"></i>{name}</span>' for k, name in names.items())
    return f'<p class="key">Curves: {items}</p>'


def _definitions(report: Report) -> str:
    used = [*METRICS, FRECHET]
    lines = [_definition(metric, report) for metric in used]
    if report.cross:
        lines.append("<dt>In cross-reenactment</dt><dd>There is no true picture, so these mean something else:</dd>")
        lines += [_definition(metric, report) for metric in CROSS_METRICS]
        lines.append(
            f"<dt>{frechet.NAME}</dt><dd>Against the source person's real frames of the clip's second half; it holds "
            "the difference in motion too.</dd>"
        )
    lines.append(
        "<dt>r</dt><dd>Pearson's correlation of a signal of the driver with that of the output, tracked again; – where "
        "the driver hardly moves. Lips and lids apart are measured on the mesh; the others are blendshapes and "
        "angles.</dd>"
        "<dt>unmoved, warp, real</dt><dd>The portrait whose landmarks are nearest to the driver's, as it is; the same "
        "pulled onto the driver's landmarks by a thin-plate spline; the true picture tracked again.</dd>"
    )
    return f"<dl>{''.join(lines)}</dl>"


def _definition(metric: Metric, report: Report) -> str:
    text = metric.definition[0].upper() + metric.definition[1:] + "."
    if metric.network:
        text += f" Network: {metric.network}."
    if metric.frames:
        text += f" At most {metric.frames} frames a clip."
    if reason := report.skipped.get(metric.key):
        text += f" Not measured here: {reason}"
    return f"<dt>{escape(metric.label)}, {escape(metric.unit)}, {metric.better} is better</dt><dd>{escape(text)}</dd>"


def _failed(report: Report) -> str:
    if not report.failed:
        return ""
    lines = "".join(f"<li>{escape(str(one['reason']))}</li>" for one in report.failed)
    return f"<h2>Left out</h2><ul>{lines}</ul>"


def _table(head: str, lines: Sequence[str]) -> str:
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str, is_best: bool, group: bool = False) -> str:
    classes = " ".join(name for name, wanted in (("best", is_best), ("group", group)) if wanted)
    return f'<td class="{classes}">{escape(text)}</td>' if classes else f"<td>{escape(text)}</td>"


def _group(k: int) -> str:
    return ' class="group"' if k == 0 else ""


def _image(shown: Shown) -> str:
    data = b64encode(shown.jpeg).decode()
    return (
        f'<img src="data:image/jpeg;base64,{data}" alt="{escape(shown.label)}" width="{shown.width}" '
        f'height="{shown.height}" loading="lazy">'
    )

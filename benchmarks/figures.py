"""Make the figures of docs/performance.md from a run's JSON: tables to the output, ratios as a drawing.

bankrmi bench … --json bench.json && python benchmarks/figures.py bench.json docs/performance.svg
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import log2
from pathlib import Path
from statistics import median
from typing import Any

OURS = "bankrmi"
_WIDE, _HIGH, _MARGIN = 64, 240, 40
_WIDEST = 4.0
"""Of the drawing, up and down: sixteen times as fast, or as slow."""
_COLOURS = ("#1f6f8b", "#c2571a", "#5b8c3e", "#7a5195", "#888888")


def main() -> None:
    """Read the run, print its tables, write the drawing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="what `bankrmi bench --json` wrote")
    parser.add_argument("drawing", type=Path, help="the SVG file to write")
    given = parser.parse_args()
    run = json.loads(given.run.read_text())
    print("\n\n".join(_tables(run)))
    given.drawing.write_text(_drawing(run["ratios"]))


def _tables(run: Mapping[str, Any]) -> Iterator[str]:
    rows: Mapping[str, Mapping[str, list[dict[str, Any]]]] = run["rows"]
    systems = list(dict.fromkeys(system for by_system in rows.values() for system in by_system))

    def table(cell: Callable[[str, str], str], names: Iterable[str]) -> str:
        lines = [["", *rows], *([name, *(cell(name, row) for row in rows)] for name in names)]
        lines.insert(1, ["---"] * len(lines[0]))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def middle(system: str, row: str, key: str) -> float | None:
        samples = rows[row].get(system)
        return median(sample[key] for sample in samples) if samples else None

    def rate(system: str, row: str) -> str:
        return _number(middle(system, row, "operations_per_second"))

    def ratio(system: str, row: str) -> str:
        found = run["ratios"][row].get(system)
        return "–" if found is None else "{median:.2f} ({lowest:.2f}–{highest:.2f})".format(**found)

    def times(system: str, row: str) -> str:
        both = (middle(system, row, "median_us"), middle(system, row, "p99_us"))
        return " / ".join(map(_number, both)) if both[0] is not None else "–"

    def used(name: str, row: str) -> str:
        system, process = name.split(", ")
        samples = [one for one in rows[row].get(system, []) if process in one["cpu_us"]]
        return f"{median(one['cpu_us'][process] for one in samples):.1f}" if samples else "–"

    processes = dict.fromkeys(
        f"{system}, {process}"
        for by_system in rows.values()
        for system, samples in by_system.items()
        for process in samples[0]["cpu_us"]
    )
    yield table(rate, systems)
    yield table(ratio, [system for system in systems if system != OURS])
    yield table(times, systems)
    yield table(used, processes)
    yield "\n".join(
        ["| row | what | median | lowest | highest | taken |", "| --- | --- | --- | --- | --- | --- |"]
        + [_finding(finding) for finding in run["findings"]]
    )


def _finding(finding: Mapping[str, Any]) -> str:
    values = finding["values"]
    what = f"{finding['what']}, {finding['unit']}"
    told = (median(values), min(values), max(values))
    return f"| {finding['row']} | {what} | {' | '.join(map(_number, told))} | {len(values)} |"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def _drawing(ratios: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return the ratios of all rows: above the line we are faster, each line further is twice as fast."""
    peers = list(dict.fromkeys(peer for by_peer in ratios.values() for peer in by_peer))
    width = _MARGIN + _WIDE * len(ratios) + _MARGIN
    box = f'viewBox="0 0 {width} {_HIGH + 70}" font-family="sans-serif" font-size="11"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}><rect width="100%" height="100%" fill="white"/>']
    for power in range(-4, 5):
        y, mark = _height(2.0**power), f"{2.0**power:g}"
        stroke = "#333" if power == 0 else "#ddd"
        parts.append(f'<path d="M{_MARGIN} {y:.1f}H{width - _MARGIN}" stroke="{stroke}"/>')
        parts.append(f'<text x="{_MARGIN - 4}" y="{y + 4:.1f}" text-anchor="end">{mark}</text>')
    for place, (row, by_peer) in enumerate(ratios.items()):
        left = _MARGIN + _WIDE * place
        parts.append(f'<text x="{left + _WIDE / 2}" y="{_HIGH + 32}" text-anchor="middle">{row}</text>')
        for number, peer in enumerate(peers):
            if (found := by_peer.get(peer)) is not None:
                parts.append(_bar(found, left + 8 + number * (_WIDE - 16) / len(peers), len(peers), number))
    for number, peer in enumerate(peers):
        x = _MARGIN + number * 110
        parts.append(f'<rect x="{x}" y="{_HIGH + 48}" width="10" height="10" fill="{_COLOURS[number]}"/>')
        parts.append(f'<text x="{x + 14}" y="{_HIGH + 57}">to {peer}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _bar(found: Mapping[str, float], x: float, of: int, number: int) -> str:
    one, end = _height(1.0), _height(found["median"])
    wide = (_WIDE - 16) / of - 1
    middle = x + wide / 2
    spread = f"M{middle:.1f} {_height(found['lowest']):.1f}V{_height(found['highest']):.1f}"
    return (
        f'<rect x="{x:.1f}" y="{min(one, end):.1f}" width="{wide:.1f}" height="{abs(one - end):.1f}" '
        f'fill="{_COLOURS[number]}"/><path d="{spread}" stroke="#333"/>'
    )


def _height(ratio: float) -> float:
    return 10 + _HIGH / 2 * (1 - max(-1.0, min(1.0, log2(max(ratio, 1e-9)) / _WIDEST)))


if __name__ == "__main__":
    main()

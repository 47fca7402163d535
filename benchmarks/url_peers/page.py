"""Outcomes -> tables in Markdown, and their place in a page. It must not know how outcomes are measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reference import cosines
from side_by_side import Figures, figures_of, markdown_table

from url_peers.measure import Outcome
from url_peers.ways import BASELINE, CEILING, WAYS, Makes

_BEGIN: Final = "<!-- written by benchmarks/end_to_end.py -->\n"
_END: Final = "<!-- end -->\n"


def written(outcomes: Sequence[Outcome]) -> str:
    """Write the tables, versions, and reasons of those that are missing."""
    return "\n\n".join(filter(None, [_versions(outcomes), *_tables(outcomes), _missing(outcomes)]))


def write_into(page: Path, text: str) -> None:
    """Put the text between the marks in a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    page.write_text(f"{before}{_BEGIN}\n{text}\n\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


def measured(outcomes: Sequence[Outcome], makes: Makes) -> list[tuple[Outcome, Figures]]:
    """Take those that were visited to the end, the fastest first."""
    done = [one for one in outcomes if WAYS[one.name].makes == makes and one.visits and not one.failure]
    figures = [(outcome, figures_of(outcome.visits)) for outcome in done]
    return sorted(figures, key=lambda pair: -pair[1].per_second)


def _tables(outcomes: Sequence[Outcome]) -> list[str]:
    vectors, images = measured(outcomes, "vectors"), measured(outcomes, "images")
    compared = [*measured(outcomes, "products"), *vectors]
    return [_vector_table(compared), _dead_link_table([*vectors, *images]), _image_table(images)]


_RATE_HEAD: Final = ["images/s", "slowest to fastest visit"]
_COST_HEAD: Final = ["CPU ms/image", "server's", "peak memory, MB"]


def _rate(figures: Figures) -> list[str]:
    return [f"{figures.per_second:.1f}", f"{figures.slowest:.1f} to {figures.fastest:.1f}"]


def _costs(outcome: Outcome, figures: Figures) -> list[str]:
    return [f"{figures.cpu_ms:.1f}", f"{figures.beside_cpu_ms:.2f}", f"{outcome.peak_bytes / 1e6:.0f}"]


def _vector_table(rows: list[tuple[Outcome, Figures]]) -> str:
    by_name = {outcome.name: (outcome, figures) for outcome, figures in rows}
    baseline, ceiling = by_name.get(BASELINE), by_name.get(CEILING)
    ratios = ["over batches", "of the ceiling"]
    head = ["URLs to vectors", *_RATE_HEAD, *ratios, *_COST_HEAD, "start to first vector, s", "lowest cosine"]
    lines = []
    for outcome, figures in rows:
        over = f"{figures.per_second / baseline[1].per_second:.2f}" if baseline else ""
        share = f"{_share(figures, ceiling[1]):.2f}" if ceiling else ""
        last = [f"{outcome.first_s:.1f}", _lowest_cosine(outcome, baseline[0]) if baseline else ""]
        if WAYS[outcome.name].makes != "vectors":
            last = ["", ""]
        lines.append([_title(outcome), *_rate(figures), over, share, *_costs(outcome, figures), *last])
    return markdown_table(head, lines) if lines else ""


def _share(figures: Figures, ceiling: Figures) -> float:
    """Compare with the ceiling what would be reached if the server's CPU time were to be had too."""
    return figures.per_second / ceiling.per_second * (1 + figures.beside_cpu_ms / figures.cpu_ms)


def _lowest_cosine(outcome: Outcome, baseline: Outcome) -> str:
    vectors, reference = outcome.answer.vectors, baseline.answer.vectors
    n_common = min(len(vectors), len(reference))
    if WAYS[outcome.name].own_weights or len(vectors) != outcome.visits[-1][0].n_images:
        return ""
    return f"{cosines(vectors[:n_common], reference[:n_common]).min():.5f}"


def _dead_link_table(rows: list[tuple[Outcome, Figures]]) -> str:
    lines = [[_title(outcome), outcome.dead_links.replace("|", "/")] for outcome, _ in rows]
    return markdown_table(["100 links, 5 of them dead", "what comes of them"], lines) if lines else ""


def _image_table(rows: list[tuple[Outcome, Figures]]) -> str:
    lines = [[_title(outcome), *_rate(figures), *_costs(outcome, figures)] for outcome, figures in rows]
    return markdown_table(["URLs to crops", *_RATE_HEAD, *_COST_HEAD], lines) if lines else ""


def _title(outcome: Outcome) -> str:
    return WAYS[outcome.name].title


def _versions(outcomes: Sequence[Outcome]) -> str:
    versions: dict[str, str] = {}
    for outcome in outcomes:
        versions |= outcome.answer.versions if outcome.visits else {}
    return "Versions: " + ", ".join(f"{package} {version}" for package, version in sorted(versions.items())) + "."


def _missing(outcomes: Sequence[Outcome]) -> str:
    lines = [f"- {_title(outcome)}: {outcome.failure.splitlines()[0]}" for outcome in outcomes if outcome.failure]
    return "\n".join(["Not measured:", "", *lines]) if lines else ""

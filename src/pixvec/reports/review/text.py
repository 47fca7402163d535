"""A review -> a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pixvec.formatting.text import count, duration, share, size
from pixvec.reports.review.findings import Failure, Images, Review

_N_HOSTS: Final = 5
_N_SHARED: Final = 3


def review_text(review: Review) -> str:
    """Say what happened and why; the caller shows control characters as such."""
    return "\n".join(_lines(review))


def _lines(review: Review) -> Iterator[str]:
    yield (
        f"{review.name}: {count(review.n_rows, 'row')}, "
        f"{count(review.n_vectors, 'vector')} ({share(review.n_vectors, review.n_rows)}), {review.n_failed:,} without"
    )
    for failure in review.failures:
        yield from _failure(failure, review)
    if review.failures:
        yield "\nrows are counted from 0"
    if review.n_retryable:
        yield f"\n{count(review.n_retryable, 'row')} may succeed at a later time: pixvec embed … --retry-failed"
    yield from _hosts(review)
    if review.images:
        yield from _images(review.images)
    if review.n_repeats:
        yield f"\nrepeats: {count(review.n_repeats, 'cell')} that came before, {review.n_urls:,} different"
    if review.pace:
        yield f"\npace: {review.pace.rows_per_second:.1f} rows/s over {duration(review.pace.seconds)} of work"
    if review.provenance:
        names = ("model", "precision", "decode", "dim", "pixvec_version")
        known = [f"{name} {review.provenance[name]}" for name in names if name in review.provenance]
        yield f"\nmade with: {', '.join(known)}"


def _failure(failure: Failure, review: Review) -> Iterator[str]:
    yield f"\n{failure.code}: {count(failure.n, 'row')} ({share(failure.n, review.n_failed)} of those without a vector)"
    if failure.meaning:
        yield f"  {failure.meaning} {failure.advice}"
    if failure.hosts:
        yield f"  at {', '.join(f'{host.name} {host.n:,}' for host in failure.hosts)}"
    for example in failure.examples[:1]:
        yield f"  row {example.row:,}: {': '.join(filter(None, (example.cell, example.detail)))}"


def _hosts(review: Review) -> Iterator[str]:
    failing = [host for host in review.hosts if host.n_failed]
    if failing:
        yield f"\nhosts: {review.n_hosts:,}; most failures at"
    for host in failing[:_N_HOSTS]:
        yield f"  {host.name}: {host.n_failed:,} of {count(host.n_rows, 'row')}, mostly {host.worst}"


def _images(images: Images) -> Iterator[str]:
    formats = ", ".join(f"{format_.name} {format_.n:,}" for format_ in images.formats)
    if formats:
        yield f"\nimages: {images.n_files:,} different, {size(images.n_bytes)}; {formats}"
    if images.n_shared:
        yield f"\none image behind many URLs, perhaps what a site shows for one that is gone: {images.n_shared:,}"
    for shared in images.shared[:_N_SHARED]:
        kind = f"{shared.format} of {shared.width:,} x {shared.height:,}"
        source = shared.final_url or shared.examples[0].cell
        yield f"  {count(shared.n_urls, 'URL')}, {count(shared.n_rows, 'row')}: {kind}, {source}"

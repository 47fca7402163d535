"""A review -> one HTML page that loads nothing and runs nothing, and shows whatever strangers wrote as text."""

from __future__ import annotations

import json
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from pixvec.formatting.bidi import isolated
from pixvec.formatting.text import count, duration, share, size
from pixvec.reports.review.charts import outcome_bar, rate_chart, segments
from pixvec.reports.review.findings import Review, stage_of

# Autoescaping is on whatever the template is called: it is what makes a stranger's URL text. What runs from right to
# left is isolated likewise, wherever it stands.
_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("pixvec.reports.review", "."),
    autoescape=True,
    finalize=isolated,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(duration=duration, size=size, stage=stage_of, number="{:,}".format)
_ENVIRONMENT.globals.update(count=count, share=share, segments=segments)


def render_review(review: Review) -> str:
    """Write the page."""
    return _ENVIRONMENT.get_template("page.html").render(
        review=review,
        outcome=outcome_bar(review),
        rates=rate_chart(review.pace) if review.pace else None,
        provenance={name: _text(fact) for name, fact in (review.provenance or {}).items()},
    )


def _text(fact: Any) -> str:
    return fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)

"""Columns of plain values: times, fractions, losses, and what all rows of a file share."""

import datetime as dt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clayline.errors import InvalidIdentifierError
from clayline.identity import uci
from clayline.verification.header import Provenance
from clayline.verification.layouts import Layout
from clayline.verification.outcomes import Outcomes
from clayline.verification.rows import Rows

_FIRST: Final = np.datetime64("1972-07-23")
"""Landsat 1: before it no satellite took such a scene."""
_DAY: Final = np.timedelta64(1, "D")
_SHARED: Final = ("source_url", "source_model", "loss_metric", "source_creator")
_MOST: Final = 1000


class Values:
    """Takes the plain columns of a file."""

    def __init__(
        self,
        outcomes: Outcomes,
        layout: Layout,
        *,
        now: dt.datetime,
        provenance: Provenance | None,
        days: tuple[str, str] | None,
    ) -> None:
        """Take the layout, the present, what the file says, and first and last day in its name (``YYYYMMDD``)."""
        self._outcomes = outcomes
        self._layout = layout
        self._now = np.datetime64(now.astimezone(dt.UTC).replace(tzinfo=None), "us")
        self._provenance = provenance
        self._days = tuple(np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}") for day in days) if days else None
        self._shared: dict[str, set[str | None]] = {name: set() for name in _SHARED}
        self._models: set[str] = set()
        self._last: str | None = None

    def check(self, rows: Rows) -> None:
        """Look at some rows."""
        self._times(rows)
        self._numbers(rows)
        for name, texts in rows.texts.items():
            if len(self._shared[name]) <= _MOST:
                self._shared[name] |= texts
        if rows.ids is not None:
            self._identifiers(rows, rows.ids)

    def end(self) -> None:
        """Tell what all rows together show."""
        provenance = self._provenance
        if not self._layout.ours:
            return
        for name, texts in self._shared.items():
            if len(texts) > 1 and (name == "source_model" or not self._layout.several):
                shown = sorted(map(str, texts))[:3]
                self._outcomes.found("versions", f"{name} differs from row to row", shown, count=len(texts))
        if len(self._models) > 1:
            self._outcomes.found("versions", "identifiers are of several models", sorted(self._models)[:3])
        if provenance is None:
            return
        expected = {
            "source_url": provenance.source.source_url,
            "source_model": provenance.model.token,
            "loss_metric": provenance.model.loss_metric,
            "source_creator": provenance.creator,
        }
        for name, text in expected.items():
            if self._shared[name] and self._shared[name] != {text}:
                found = sorted(map(str, self._shared[name] - {text}))[:1]
                self._outcomes.found("provenance", f"{name} is not {text}, as the header says", found)

    def _times(self, rows: Rows) -> None:
        first = rows.moments if rows.moments is not None else (None if self._layout.ours else rows.dates)
        if first is not None:
            null = np.isnat(first)
            self._say("dates", "there is no acquisition time", rows, null)
            with_time = first.astype("datetime64[us]")
            self._say("dates", "the acquisition is before satellites took scenes", rows, ~null & (with_time < _FIRST))
            self._say("dates", "the acquisition lies in the future", rows, ~null & (with_time > self._now + _DAY))
            if self._days:
                day = first.astype("datetime64[D]")
                out = ~null & ((day < self._days[0]) | (day > self._days[1]))
                self._say("dates", "the acquisition is not in the days that the file's name says", rows, out)
            if self._provenance:
                start = np.datetime64(self._provenance.acquired.start.astimezone(dt.UTC).replace(tzinfo=None), "us")
                self._say("dates", "the acquisition is not the provenance's", rows, ~null & (with_time != start))
        if self._layout.ours and rows.dates is not None:
            null = np.isnat(rows.dates)
            self._say("dates", "there is no day of creation", rows, null)
            self._say("dates", "created in the future", rows, ~null & (rows.dates > self._now + _DAY))
            if first is not None:
                early = ~null & (rows.dates < first.astype("datetime64[D]"))
                self._say("dates", "created before it was acquired", rows, early)
            if self._provenance:
                created = np.datetime64(self._provenance.created.astimezone(dt.UTC).date())
                self._say("dates", "the day of creation is not the provenance's", rows, ~null & (rows.dates != created))

    def _numbers(self, rows: Rows) -> None:
        for name in ("valid_fraction", "cloud_fraction"):
            if name in rows.numbers:
                values = rows.numbers[name]
                with np.errstate(invalid="ignore"):
                    wrong = (values < 0) | (values > 1) | rows.nan[name]
                if name == "valid_fraction":
                    wrong |= np.isnan(values)
                self._say("values", f"{name} does not lie in 0 to 1", rows, wrong)
        if "loss" in rows.numbers:
            loss, nan = rows.numbers["loss"], rows.nan["loss"]
            self._say("values", "the loss is not finite", rows, nan | np.isinf(loss))
            metrics = rows.texts.get("loss_metric")
            if metrics is not None and self._layout.ours:
                null = np.isnan(loss) & ~nan
                named = metrics != {None}
                alone = null if named else ~null
                self._say("values", "loss and loss_metric are not there together", rows, alone)

    def _identifiers(self, rows: Rows, ids: list[str | None]) -> None:
        null = np.array([text is None or not text for text in ids])
        self._say("identifiers-parse", "there is no identifier", rows, null)
        if not self._layout.ours:
            return
        tails: set[str] = set()
        for row, text in enumerate(ids):
            if text is None:
                continue
            if self._last is not None and text <= self._last and not self._layout.several:
                what = "stands twice" if text == self._last else "comes after a greater one"
                check = "identifiers-unique" if text == self._last else "identifiers-sorted"
                if text != self._last:  # equal neighbours are told by who looks for any that stand twice
                    self._outcomes.found(check, f"the identifier {what}", [rows.name(row)])
            self._last = text
            place, _, tail = text.partition("_")
            try:
                if tail in tails and len(text) <= uci.MAX_LENGTH:
                    uci.parse_location(place)
                else:
                    self._models.add(uci.parse(text).model)
                    tails.add(tail)
            except InvalidIdentifierError as error:
                self._outcomes.found("identifiers-parse", "it is no identifier", [f"{text[:60]!r} ({error})"[:300]])

    def _say(self, check: str, message: str, rows: Rows, wrong: NDArray[np.bool_]) -> None:
        if wrong.any():
            self._outcomes.found(check, message, rows.names(wrong), count=int(np.count_nonzero(wrong)))

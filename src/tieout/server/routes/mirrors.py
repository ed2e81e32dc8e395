"""`/v1/mirrors`: copies of suppliers' data: stays, items, searches, and what has changed."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from tieout.errors import UnknownItem
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import MOST
from tieout.server.site import Asked, site_of

if TYPE_CHECKING:
    from tieout.mirror.mirror import Mirror

MirrorName = Annotated[str, PathParameter(description="The mirror's name.", max_length=255)]
Supplier = Annotated[str, PathParameter(description="The supplier's name.", max_length=255)]
Item = Annotated[str, PathParameter(description="The item's key.", max_length=255)]
First = Annotated[
    str, QueryParameter(max_length=40, description="Where the stay begins: a day, the moment of a slot, or nothing.")
]
Nights = Annotated[int, QueryParameter(ge=1, le=1_024, description="How many cells.")]
Refresh = Annotated[bool, QueryParameter(description="Whether the supplier is asked behind this answer.")]
After = Annotated[int, QueryParameter(ge=0, lt=MOST, description="`cursor` of the answer before.")]
Most = Annotated[int, QueryParameter(ge=1, le=10_000, description="Observations that are looked at, 1 to 10000.")]


class MirrorDocument(msgspec.Struct, frozen=True):
    """A mirror and its suppliers; `lag` is how many seconds ago this node's view was current, if it has one."""

    mirror: str
    suppliers: list[str]
    fields: list[str]
    lag: float | None


class Mirrors(msgspec.Struct, frozen=True):
    """All mirrors of the App."""

    items: list[MirrorDocument]


class OfferDocument(msgspec.Struct, frozen=True):
    """What the copy says of a stay: its fields, folded, or null when not all of it is known; ages are in seconds."""

    values: dict[str, Any] | None
    age: float | None
    p_true: float
    suspect: bool
    source: Literal["group", "item"] | None


class CellDocument(msgspec.Struct, frozen=True):
    """One cell of an item."""

    at: str | None
    values: dict[str, Any] | None
    age: float | None
    suspect: bool


class ItemDocument(msgspec.Struct, frozen=True):
    """All open cells of an item, in order."""

    supplier: str
    group: str
    item: str
    cells: list[CellDocument]


class FoundDocument(msgspec.Struct, frozen=True):
    """An item that a search found."""

    supplier: str
    group: str
    item: str
    offer: OfferDocument


class ResultDocument(msgspec.Struct, frozen=True):
    """Some of the `total` items that match; `lag` is how many seconds ago the view was current."""

    found: list[FoundDocument]
    total: int
    lag: float


class ChangeDocument(msgspec.Struct, frozen=True):
    """Cells of an item that changed."""

    seq: int
    item: str
    cells: list[str | None]


class FeedDocument(msgspec.Struct, frozen=True):
    """Changes in order, and the cursor to go on with; `lost`: some behind the given one are not kept any more."""

    changes: list[ChangeDocument]
    cursor: int
    lost: bool


class ToSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched: `where` has [least, most] for numbers, each of them null perhaps, true or false for flags."""

    first: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    nights: Annotated[int, msgspec.Meta(ge=1, le=1_024)] = 1
    where: dict[str, bool | list[int | None]] = {}
    sort: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    descending: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    offset: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    groups: Annotated[list[str], msgspec.Meta(max_length=1_000)] | None = None
    suppliers: Annotated[list[str], msgspec.Meta(max_length=1_000)] | None = None
    suspect: bool = True


READING = permits("mirror:read")


@get("/v1/mirrors", tags=["mirrors"], responses=refusals(), **READING)
async def list_mirrors(request: Asked) -> Mirrors:
    """The mirrors of this App, with their suppliers and fields."""
    mirrors = site_of(request).app.mirrors.values()
    return Mirrors([MirrorDocument(one.name, list(one.suppliers), list(one.layout.fields), one.lag) for one in mirrors])


@get(
    "/v1/mirrors/{mirror:str}/suppliers/{supplier:str}/items/{item:str}",
    tags=["mirrors"],
    responses=refusals(422),
    **READING,
)
async def get_item(request: Asked, mirror: MirrorName, supplier: Supplier, item: Item) -> ItemDocument:
    """All cells of an item, as the copy has them."""
    found = await _mirror(request, mirror).item(supplier, item)
    cells = [CellDocument(_told(cell.at), _plain(cell.values), cell.age, cell.suspect) for cell in found.cells]
    return ItemDocument(found.supplier, found.group, found.item, cells)


@get(
    "/v1/mirrors/{mirror:str}/suppliers/{supplier:str}/items/{item:str}/stay",
    tags=["mirrors"],
    responses=refusals(422),
    **READING,
)
async def get_stay(
    request: Asked,
    mirror: MirrorName,
    supplier: Supplier,
    item: Item,
    first: First = "",
    nights: Nights = 1,
    refresh: Refresh = True,  # noqa: FBT002 - a query parameter
) -> OfferDocument:
    """What the copy says of a stay, at once; unless told not to, the supplier is asked behind that."""
    chosen = _mirror(request, mirror)
    offer = await chosen.read(supplier, item, _start(chosen, first or None), nights, refresh=refresh)
    return _offer(offer)


@post(
    "/v1/mirrors/{mirror:str}/search",
    status_code=200,
    tags=["mirrors"],
    responses=refusals(*WITH_BODY),
    **READING,
)
async def search(request: Asked, mirror: MirrorName, data: JSONBody[ToSearch]) -> ResultDocument:
    """Items whose stay is known and as wanted, from this node's memory."""
    chosen = _mirror(request, mirror)
    view = await chosen.view()
    result = view.search(
        _start(chosen, data.first),
        data.nights,
        where=data.where,
        sort=data.sort,
        descending=data.descending,
        limit=data.limit,
        offset=data.offset,
        groups=None if data.groups is None else set(data.groups),
        suppliers=None if data.suppliers is None else set(data.suppliers),
        suspect=data.suspect,
    )
    found = [FoundDocument(one.supplier, one.group, one.item, _offer(one.offer)) for one in result.found]
    return ResultDocument(found, result.total, result.lag)


@get(
    "/v1/mirrors/{mirror:str}/suppliers/{supplier:str}/changes",
    tags=["mirrors"],
    responses=refusals(422),
    **READING,
)
async def get_changes(
    request: Asked, mirror: MirrorName, supplier: Supplier, after: After = 0, limit: Most = 1_000
) -> FeedDocument:
    """What has changed behind a cursor, in the order in which it was stored, at least once."""
    feed = await _mirror(request, mirror).changes(supplier, after, limit)
    changes = [ChangeDocument(one.seq, one.item, [_told(cell) for cell in one.cells]) for one in feed.changes]
    return FeedDocument(changes, feed.cursor, feed.lost)


def _mirror(request: Asked, name: str) -> Mirror:
    found = site_of(request).app.mirrors.get(name)
    if found is None:
        raise UnknownItem("there is no mirror of this name")
    return found


def _start(mirror: Mirror, first: str | None) -> date | datetime | None:
    axis = mirror.layout.axis
    return axis.start_of(axis.read(first))


def _told(at: date | datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _plain(values: Any) -> dict[str, Any] | None:
    return None if values is None else dict(values)


def _offer(offer: Any) -> OfferDocument:
    return OfferDocument(_plain(offer.values), offer.age, offer.p_true, offer.suspect, offer.source)


ROUTES = [list_mirrors, get_item, get_stay, search, get_changes]

"""`POST /v1/types/{type}/processes`: start a process, once for each key of each client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import BodyKwarg, HeaderParameter

from tieout.app import App
from tieout.documents import ProcessDocument, process_document
from tieout.errors import InvalidRequest
from tieout.process.process import Process, of_client
from tieout.process.process_type import ProcessType
from tieout.process.record import Record
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.site import Asked, who
from tieout.wire.idempotency_key import HEADER, REPLAYED, parse_key

Key = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        required=False,
        max_length=255,
        description="The request key: the same again gets the same process. Required.",
    ),
]
Prefer = Annotated[
    str | None,
    HeaderParameter(name="Prefer", required=False, description="`wait=10`: answer once it is final, or after 10 s."),
]

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


class TypeDocument(msgspec.Struct, frozen=True):
    """A process type: the states of its machine, and where its processes are started."""

    name: str
    version: int
    key: str
    owner: str | None
    states: list[str]
    finals: list[str]
    start: str


def routes(app: App) -> Sequence[HTTPRouteHandler]:
    """The list of types, and one route for each of them, so that each describes its own params."""
    return [list_types, *(_start_route(process_type) for process_type in app.types.values())]


@get("/v1/types", tags=["processes"], responses=refusals(), **permits("process:start", "process:read"))
async def list_types(request: Asked) -> list[TypeDocument]:
    """The process types that can be started here."""
    site, _ = who(request)
    prefix = request.scope.get("tieout.prefix", "")
    return [
        TypeDocument(
            one.name,
            one.version,
            one.key_field or "",
            one.owner_field,
            list(one.states),
            list(one.finals),
            f"{prefix}/v1/types/{one.name}/processes",
        )
        for one in site.app.types.values()
    ]


def wait_of(prefer: str | None, most: float) -> float:
    """The seconds of `Prefer: wait=`, at most `most`; 0 without it."""
    match = _WAIT.search(prefer or "")
    return min(float(match[1]), most) if match else 0.0


def body_of(process_type: ProcessType) -> type[msgspec.Struct]:
    """What a request of this type sends: its params without the key, which stands in a header."""
    fields: list[Any] = []
    for info in msgspec.structs.fields(process_type.params.kind):
        if info.name == process_type.key_field:
            continue
        if info.default is not msgspec.NODEFAULT:
            fields.append((info.name, info.type, info.default))
        elif info.default_factory is not msgspec.NODEFAULT:
            fields.append((info.name, info.type, msgspec.field(default_factory=info.default_factory)))
        else:
            fields.append((info.name, info.type))
    name = f"{process_type.cls.__name__}Params"
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True, module=__name__)


def _start_route(process_type: ProcessType) -> HTTPRouteHandler:
    names = [info.name for info in msgspec.structs.fields(process_type.params.kind)]
    cls: type[Process[Any]] = process_type.cls
    key_field = process_type.key_field or ""

    async def start(request: Request[Any, Any, Any], data: Any, key: Key = None, prefer: Prefer = None) -> Any:
        params = {name: getattr(data, name) for name in names if name != key_field}
        site, caller = who(request)
        asked = of_client(cls(**params, **{key_field: _required(request, key)}), caller.client)
        seconds = wait_of(prefer, site.settings.max_wait)
        started = await site.app.begin(asked, seconds)
        return _started(request, started.record, seconds, is_replayed=started.replayed)

    start.__doc__ = f"""Start a process of type {process_type.name}; the same request again gets the same process.

        201: it is new, and accepted for good. 200: it was started before, and is final. 202: it was started before,
        and is not final yet."""
    start.__annotations__ = {
        **start.__annotations__,
        "data": Annotated[body_of(process_type), BodyKwarg(media_type=RequestEncodingType.JSON)],
    }
    start.__name__ = start.__qualname__ = f"start_{re.sub(r'[^a-z0-9]', '_', process_type.name.lower())}"
    headers = [
        ResponseHeader(name="Location", description="Where the process is.", documentation_only=True),
        ResponseHeader(
            name=REPLAYED, description="`true` when it was started before.", documentation_only=True, required=False
        ),
    ]
    also = {
        200: ResponseSpec(ProcessDocument, generate_examples=False, description="Started before, and final."),
        202: ResponseSpec(ProcessDocument, generate_examples=False, description="Started before, and not final yet."),
    }
    return post(
        f"/v1/types/{process_type.name}/processes",
        status_code=201,
        tags=["processes"],
        response_headers=headers,
        responses={**also, **refusals(*WITH_BODY, 410)},
        opt={"permits": ("process:start",), "takes": [name for name in names if name != key_field]},
        security=[{"token": []}],
    )(start)


def _required(request: Asked, field: str | None) -> str:
    fields = [value for name, value in request.scope["headers"] if name.lower() == HEADER.lower().encode()]
    key = None if field is None else parse_key(fields)
    if key is None:
        raise InvalidRequest(f"this needs the header {HEADER}: the same key again gets the same process")
    return key


def _started(request: Asked, record: Record, waited: float, *, is_replayed: bool) -> Response[ProcessDocument]:
    is_final = record.status in ("final", "retired")
    status = (200 if is_final else 202) if is_replayed else 201
    headers = {"Location": f"{request.scope.get('tieout.prefix', '')}/v1/processes/{record.id.hex()}"}
    if is_replayed:
        headers[REPLAYED] = "true"
    if waited:
        headers["Preference-Applied"] = f"wait={waited:g}"
    return Response(process_document(record), status_code=status, headers=headers)

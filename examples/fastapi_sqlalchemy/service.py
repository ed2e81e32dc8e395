"""A points service: FastAPI in front, SQLAlchemy behind, and another company's prize service on the far side."""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import FastAPI, Header, HTTPException, Response
from fastapi.responses import JSONResponse
from models import Account, Session, Table, Visit, database_url, engine
from pydantic import BaseModel
from redeem import Prizes, Redeem
from sqlalchemy.exc import InterfaceError, OperationalError

import tieout
from tieout import Failed, ProcessView, Succeeded

TOKEN = os.environ.get("CALLBACK_TOKEN", "a secret that the prize service shares")
RETRY_LATER = (tieout.UnknownCall, tieout.NewerVersion, tieout.Overloaded)
CONFLICT = (tieout.Refused, tieout.KeyRetired)

prizes = Prizes(httpx.AsyncClient(base_url=os.environ.get("PRIZES_URL", "https://prizes.example")))
app = tieout.App(database_url, session=Session, deps=prizes, migrate=True)
app.register(Redeem)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open everything before the first request, and close it after the last."""
    async with engine.begin() as connection:
        await connection.run_sync(Table.metadata.create_all)
    async with app:
        yield
    await prizes.http.aclose()
    await engine.dispose()


api = FastAPI(lifespan=lifespan)


class Wish(BaseModel):
    """What a user asks for. The same `request_id` again is the same request."""

    request_id: str
    user: str
    sku: str


class Told(BaseModel):
    """What the prize service calls back with."""

    key: str
    code: str = ""
    error: str = ""


class Seen(BaseModel):
    """What became of a wish, so far."""

    id: str
    state: str
    status: str
    result: str | None


@api.post("/redemptions", status_code=202)
async def redeem(wish: Wish, response: Response) -> Seen:
    """Start the redemption in our own transaction; 200 when it has ended within a second, else 202."""
    try:
        async with Session.begin() as session:
            session.add(Visit(user=wish.user, sku=wish.sku))
            process = await app.start(Redeem(**wish.model_dump()), tx=session)
    except tieout.AlreadyStarted as repeated:
        process = repeated.process
    process = await app.wait(process.id, timeout=1)
    response.status_code = 200 if process.is_final else 202
    return seen(process)


@api.get("/redemptions/{process_id}")
async def look(process_id: str) -> Seen:
    """What became of it."""
    return seen(await app.get(process_id))


@api.get("/accounts/{user}")
async def points(user: str) -> int:
    """The user's points."""
    async with Session() as session:
        account = await session.get(Account, user)
    if account is None:
        raise HTTPException(404)
    return account.points


@api.post("/callbacks/prizes")
async def called_back(told: Told, authorization: Annotated[str, Header()] = "") -> dict[str, str]:
    """The prize service says what became of a call; 503 asks it to say so again later."""
    if not hmac.compare_digest(authorization.encode(), f"Bearer {TOKEN}".encode()):
        raise HTTPException(401)
    outcome = Failed(told.error) if told.error else Succeeded(told.code)
    return {"effect": await app.report(told.key, outcome)}


@api.exception_handler(tieout.TieoutError)
async def refuse(_: object, error: tieout.TieoutError) -> JSONResponse:
    """Each error as an answer; its code never changes its meaning."""
    status = status_of(error)
    later = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"code": error.code, "detail": str(error)}, status, later)


@api.exception_handler(InterfaceError)
@api.exception_handler(OperationalError)
async def lose(_: object, error: Exception) -> JSONResponse:
    """Our own session lost the database, perhaps in its COMMIT: the same request again finds what was done."""
    return JSONResponse({"code": tieout.CommitUnknown.code, "detail": str(error)}, 503, {"Retry-After": "1"})


def status_of(error: tieout.TieoutError) -> int:
    """The HTTP status of an error."""
    match error:
        case tieout.DatabaseError(retryable=True):
            return 503
        case tieout.UnknownProcess():
            return 404
        case tieout.RequestError() if isinstance(error, RETRY_LATER):
            return 503
        case tieout.RequestError() if isinstance(error, CONFLICT):
            return 409
        case tieout.RequestError():
            return 422
        case _:
            return 500


def seen(process: ProcessView) -> Seen:
    """What the caller is shown of a process."""
    return Seen(id=process.id, state=process.state, status=process.status, result=process.result)

"""Every error as an answer with a stable code."""

from __future__ import annotations

from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse

import tieout

RETRY_LATER = (tieout.UnknownCall, tieout.NewerVersion, tieout.Overloaded)
CONFLICT = (tieout.Refused, tieout.KeyRetired)


class ErrorsAsCodes:
    """Django middleware: 503 always means that the same request may be sent again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Nothing to do but for what a view raises."""
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        """The answer to an error of tieout's, or to a connection of our own that was lost, perhaps in its COMMIT."""
        if isinstance(error, InterfaceError | OperationalError):
            return answer(tieout.CommitUnknown.code, error, 503)
        if isinstance(error, tieout.TieoutError):
            return answer(error.code, error, status_of(error))
        return None


def answer(code: str, error: Exception, status: int) -> HttpResponse:
    """An error as JSON."""
    later = {"Retry-After": "1"} if status == 503 else {}
    return JsonResponse({"code": code, "detail": str(error)}, status=status, headers=later)


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

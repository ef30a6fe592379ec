"""Problems as answers over HTTP: the error's document with the status that says its kind."""

from __future__ import annotations

from starlette.responses import JSONResponse
from tunebus.contracts.errors import Code, TunebusError

STATUS = {
    Code.NOT_FOUND: 404,
    Code.NOT_PERMITTED: 403,
    Code.TOO_LARGE: 413,
    Code.UNAVAILABLE: 503,
    Code.INTERNAL: 500,
    Code.DUPLICATE_NAME: 409,
    Code.IN_USE: 409,
    Code.CONFLICT: 409,
    Code.COMMAND_ID_REUSED: 409,
    Code.WRONG_STATE: 409,
}


def refusal(error: TunebusError) -> JSONResponse:
    """A problem as an answer over HTTP."""
    return JSONResponse({"error": error.problem.document()}, STATUS.get(error.problem.code, 400))

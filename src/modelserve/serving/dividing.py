"""What a server is asked to divide its calls by, and what it tells of the parts."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError

from modelserve.errors import InvalidInput
from modelserve.serving import schemas
from modelserve.serving.inference import Instruments
from modelserve.serving.management import read_object
from modelserve.serving.openapi import body_of, faults_of

_WANTED = body_of(schemas.WantedSegments)


def add_segments(api: FastAPI, instruments: Instruments) -> None:
    segments = instruments.segments
    segments.changed.append(instruments.telemetry.forget_segments)

    @api.put(
        "/internal/segments",
        response_model=schemas.WantedSegments,
        responses=faults_of(400, 413),
        openapi_extra=_WANTED,
    )
    async def divide(request: Request) -> Any:
        """Count calls by these segments from now on; ``/internal/figures`` tells the counts."""
        try:
            wanted = schemas.WantedSegments.model_validate(await read_object(request))
        except ValidationError as error:
            raise InvalidInput(_told(error)) from None
        segments.ask(wanted.segments)
        return {"segments": segments.asked}


def figures_of(instruments: Instruments) -> dict[str, Any]:
    """The JSON of ``/internal/figures``."""
    own = instruments.telemetry.own
    divided = []
    for segment in instruments.segments.asked:
        arms = {arm: counts.read() for (name, arm), counts in own.segments.items() if name == segment.name}
        divided.append({**segment.model_dump(), "arms": arms})
    return own.figures() | {"segments": divided}


def _told(error: ValidationError) -> str:
    """Each problem with its place."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())

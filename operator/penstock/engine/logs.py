"""Logs: one JSON object a line, with the object and the pass that it belongs to, so that a pass can be followed by one grep."""

from __future__ import annotations

import contextvars
import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

current_object: contextvars.ContextVar[str] = contextvars.ContextVar("object", default="")
current_pass: contextvars.ContextVar[str] = contextvars.ContextVar("pass", default="")


class _Context(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "object"):
            record.object = current_object.get()
        if not hasattr(record, "pass"):
            setattr(record, "pass", current_pass.get())
        return True


class _Expected(logging.Filter):
    """kopf warns that it leaves the signals alone, which is what it is in a thread of its own for."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.name.startswith("kopf") and "OS signals are ignored" in record.getMessage())


class _Json(JsonFormatter):
    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        return {key: value for key, value in super().process_log_record(log_data).items() if value not in ("", None)}


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Send everything to stderr. level: a name of the logging module. style: json for machines, text for a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Context())
    handler.addFilter(_Expected())
    if style == "json":
        handler.setFormatter(
            _Json(
                "%(asctime)s %(levelname)s %(name)s %(message)s %(object)s %(pass)s",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
                datefmt="%Y-%m-%dT%H:%M:%S%z",
            )
        )
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(object)s %(message)s", datefmt="%H:%M:%S")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These tell about every request or every watch event; at their own INFO they drown the passes.
    for name in ("kopf", "botocore", "boto3", "urllib3", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))

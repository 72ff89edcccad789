"""moto behind the dispatcher: every service that has no handler of ours, in its own words."""

from __future__ import annotations

import io
import sys
import traceback
from typing import Any

from botocore.model import OperationNotFoundError
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from .dispatch import Answer
from .errors import AwsError
from .request import Request

_application = DomainDispatcherApplication(create_backend_app)


def call_moto(request: Request) -> Answer:
    """moto's answer. Raises AwsError where moto would show an HTML page: an operation or a service it lacks."""
    environ = _environ(request)
    try:
        application = _application.get_application(environ)
    except Exception:
        raise _unknown(request) from None
    status: list[Any] = []

    def start_response(line: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        status[:] = [int(line.split(" ", 1)[0]), headers]
        return lambda _chunk: None

    try:
        body = b"".join(application(environ, start_response))
    except (NotImplementedError, OperationNotFoundError):
        raise _unknown(request) from None
    except Exception as failure:
        print(f"moto failed in {request.name}: {failure!r}", file=sys.stderr)
        traceback.print_exc()
        raise AwsError("InternalServerError", "Internal server error", 500) from None
    code, headers = status
    html = any(name.lower() == "content-type" and value.startswith("text/html") for name, value in headers)
    if code in (404, 405, 501) and html and not body.startswith((b"{", b"<?xml", b"<Error")):
        raise _unknown(request)
    # cheroot sets its own Date and connection headers, and the length is ours to say.
    kept = [(n, v) for n, v in headers if n.lower() not in ("content-length", "connection", "date", "server")]
    return code, kept, body


def _unknown(request: Request) -> AwsError:
    if request.protocol == "query":
        return AwsError("InvalidAction", f"Could not find operation {request.operation} for this service")
    return AwsError("UnknownOperationException", f"Unknown operation {request.operation}")


def _environ(request: Request) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "REQUEST_URI": request.path + (f"?{request.query}" if request.query else ""),
        "RAW_URI": request.path + (f"?{request.query}" if request.query else ""),
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.decode("latin-1").upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value.decode("latin-1")
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ["HTTP_" + key] = value.decode("latin-1")
    return environ

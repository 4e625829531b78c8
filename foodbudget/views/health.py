"""Health: for Docker, for Homeport, for people. Reads only, in standby as well."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy.exc import SQLAlchemyError

from foodbudget import __version__, db, schema
from foodbudget.errors import DownError

blueprint = Blueprint("health", __name__)


def _release() -> str:
    return str(current_app.config["RELEASE"])


@blueprint.get("/health")
def alive() -> Response:
    """The process answers; nothing else is looked at."""
    return jsonify(status="ok", release=_release())


@blueprint.get("/health/ready")
def ready() -> tuple[Response, int]:
    """Whether requests can be served: the database answers and its schema is this release's."""
    database = db.current()
    found: str | None = None
    try:
        state = database.ask(schema.look)
        found, reason = state.found, state.reason
    except (SQLAlchemyError, DownError) as error:
        reason = f"the database does not answer: {database.public_cause(error)}"
    if reason:
        current_app.logger.warning("not ready: %s", reason)
    answer = jsonify(
        ready=reason is None,
        reason=reason,
        release=_release(),
        schema={"found": found, "expected": schema.HEAD},
        standby=database.standby.on,
    )
    return answer, 503 if reason else 200


@blueprint.get("/version")
def version() -> Response:
    """What runs."""
    return jsonify(version=__version__, release=_release(), schema=schema.HEAD)

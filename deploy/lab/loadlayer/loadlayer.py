"""MyFoodBudget with what the load test needs: run as `gunicorn 'loadlayer:create_app()'`.

    GET  /load/read        a real query over purchases
    POST /load/write       a purchase of the load's own user and its audit row, in one transaction
    GET  /load/slow?s=2    an answer that takes its time (seconds, at most 60)

In standby writes answer as all writes of the app's do. `behaviour.json` beside this file makes
versions differ, and misbehave: `version` and `accent` show on every page; `ready` is the status of
/health/ready from the start.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from markupsafe import escape
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

import app_factory
from foodbudget import db
from foodbudget.models import Purchase, User

BEHAVIOUR = Path(__file__).with_name("behaviour.json")
BODY_LIMIT = 2_000_000
LOAD_USER = "load"

# No UNIQUE on load_id: a double must be stored to be seen. AUTOINCREMENT: the order of rowids is
# the order of the writes, whatever is deleted in between.
AUDIT_TABLE = """
CREATE TABLE IF NOT EXISTS load_audit (
    rowid INTEGER PRIMARY KEY AUTOINCREMENT,
    load_id TEXT NOT NULL,
    release TEXT NOT NULL,
    purchase_id INTEGER NOT NULL,
    at REAL NOT NULL,
    length INTEGER NOT NULL,
    sha256 TEXT NOT NULL
)
"""
AUDIT_ROW = """
INSERT INTO load_audit (load_id, release, purchase_id, at, length, sha256)
VALUES (:load_id, :release, :purchase_id, :at, :length, :sha256)
"""

load = Blueprint("load", __name__, url_prefix="/load")


@dataclass(frozen=True)
class Behaviour:
    """How this image differs from the app. `accent` is a CSS colour, `ready` an HTTP status."""

    version: str = ""
    accent: str = ""
    ready: int = 200

    @classmethod
    def of(cls, file: Path) -> Behaviour:
        """Read the file. Raises TypeError for a key that is not known, OSError, ValueError."""
        return cls(**json.loads(file.read_text("utf-8")))


def create_app(config: Any = None, behaviour: Behaviour | None = None) -> Flask:
    """Return the app, as `app_factory.create_app` makes it, with the load's endpoints."""
    app = app_factory.create_app(config)
    app.extensions["load.behaviour"] = behaviour or Behaviour.of(BEHAVIOUR)
    app.register_blueprint(load)
    app.extensions["csrf"].exempt(load)
    app.before_request(_misbehave)
    app.after_request(_show)
    with app.app_context():
        # In standby another release writes: the table comes with the first write then.
        if not db.current().standby.on:
            with db.write() as session:
                session.execute(text(AUDIT_TABLE))
    return app


@load.get("/read")
def read() -> Response:
    """Answer what was bought last, as the month view would ask for it."""
    with db.read() as session:
        latest = select(Purchase.id, Purchase.price).order_by(Purchase.id.desc()).limit(50)
        rows = session.execute(latest).all()
        last_id = session.scalar(select(func.max(Purchase.id)))
    return jsonify(last_id=last_id, shown=len(rows), spent=sum(row.price for row in rows))


@load.post("/write")
def write() -> tuple[Response, int]:
    """Store one purchase and its audit row, both or neither.

    The body's first line must be the id of X-Load-Id, and its length that of X-Load-Length: a
    proxy that lost the body of a retried request would be believed otherwise.
    """
    request.max_content_length = BODY_LIMIT
    body = request.get_data()
    load_id = request.headers.get("X-Load-Id", "")
    told = request.headers.get("X-Load-Length", "")
    if not load_id or body.split(b"\n", 1)[0] != load_id.encode() or told != str(len(body)):
        return jsonify(error=f"body of {len(body)} bytes is not that of {load_id!r}, {told!r}"), 400
    with db.write() as session:
        session.execute(text(AUDIT_TABLE))
        purchase = _purchase(session, len(body))
        audit = {
            "load_id": load_id,
            "release": os.environ.get("HOMEPORT_RELEASE", "dev"),
            "purchase_id": purchase.id,
            "at": time.time(),
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        session.execute(text(AUDIT_ROW), audit)
    return jsonify(stored=load_id, purchase=audit["purchase_id"]), 201


def _purchase(session: Session, price: int) -> Purchase:
    user = session.scalar(select(User).where(User.name == LOAD_USER))
    if user is None:
        # no password has this hash: nobody can log in as the load
        user = User(name=LOAD_USER, password_hash="!")
        session.add(user)
        session.flush()
    purchase = Purchase(
        user_id=user.id, food="load", category="other", price=price, day=date.today()
    )
    session.add(purchase)
    session.flush()
    return purchase


@load.get("/slow")
def slow() -> Response:
    """Answer after `s` seconds."""
    seconds = min(max(request.args.get("s", 2.0, type=float), 0.0), 60.0)
    time.sleep(seconds)
    return jsonify(slept=seconds)


@load.get("/accent.css")
def accent() -> Response:
    """Colour the pages; a stylesheet, since the app's pages may forbid inline styles."""
    rule = f":root {{ --accent: {_behaviour().accent} !important; }}\n"
    return Response(rule, mimetype="text/css")


def _behaviour() -> Behaviour:
    behaviour = current_app.extensions["load.behaviour"]
    assert isinstance(behaviour, Behaviour)
    return behaviour


def _misbehave() -> tuple[Response, int] | None:
    status = _behaviour().ready
    if request.path != "/health/ready" or status == 200:
        return None
    return jsonify(ready=False, reason="behaviour.json says so"), status


def _show(response: Response) -> Response:
    """Return the request's id, so that no answer is taken for another's, and mark pages."""
    if load_id := request.headers.get("X-Load-Id"):
        response.headers["X-Load-Id"] = load_id
    behaviour = _behaviour()
    if response.mimetype == "text/html" and not response.direct_passthrough:
        page = response.get_data(as_text=True)
        if behaviour.version:
            mark = f'<strong class="version">{escape(behaviour.version)}</strong>'
            page = page.replace("</footer>", f" {mark}</footer>", 1)
        if behaviour.accent:
            link = '<link rel="stylesheet" href="/load/accent.css">'
            page = page.replace("</head>", f"{link}</head>", 1)
        response.set_data(page)
    return response

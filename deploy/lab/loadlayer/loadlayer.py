"""MyFoodBudget with what the load test needs: run as `gunicorn 'loadlayer:create_app()'`.

    GET  /load/read        a real query over purchases
    POST /load/write       a purchase of the load's own user and its audit row, in one transaction
    GET  /load/slow?s=2    an answer that takes its time (seconds, at most 60)

In standby writes answer as all writes of the app's do. `behaviour.json` beside this file makes
versions differ, and misbehave (class Behaviour). Run as `python loadlayer.py` it is a worker, which
waits for SIGTERM.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
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
    rowid {key},
    load_id TEXT NOT NULL,
    release TEXT NOT NULL,
    purchase_id INTEGER NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    length INTEGER NOT NULL,
    sha256 TEXT NOT NULL
)
"""
KEYS = {"sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT", "postgresql": "BIGSERIAL PRIMARY KEY"}
AUDIT_ROW = """
INSERT INTO load_audit (load_id, release, purchase_id, at, length, sha256)
VALUES (:load_id, :release, :purchase_id, :at, :length, :sha256)
"""

FAILING = threading.Event()
ASKED = itertools.count()

load = Blueprint("load", __name__, url_prefix="/load")


@dataclass(frozen=True)
class Behaviour:
    """How this image differs from the app, and what is wrong with it. Instants are seconds since it
    may write, which is its start or the end of its standby; 0 stands for never.

    `version` and `accent` (a CSS colour) show on every page. `says` is the cause that it gives for
    whatever it does wrong. `ready`: the status of /health/ready. `exits`: it ends at its start.
    `needs`: the variable without which it ends at its start. `hangs`: it accepts and never answers.
    `broken`: a path that answers 500. `fails_after`: from then on all answers are 500, or, with
    `fails_after_requests`, after so many requests of the load's.
    `crashes_after`: then the whole container ends, whenever it is started. `leaks_after`: from then
    on it takes memory until it is killed. `deaf`: it ignores SIGTERM. `worker_dies_after`: then the
    worker ends. `ready_live`: the status of /health/ready where users' own data is, and not on a
    copy of it. `migrates`: what its migration does there, if it has one (lab/later).
    """

    version: str = ""
    accent: str = ""
    says: str = ""
    ready: int = 200
    exits: bool = False
    needs: str = ""
    hangs: bool = False
    broken: str = ""
    fails_after: float = 0.0
    fails_after_requests: int = 0
    crashes_after: float = 0.0
    leaks_after: float = 0.0
    deaf: bool = False
    worker_dies_after: float = 0.0
    ready_live: int = 200
    migrates: str = ""

    @classmethod
    def of(cls, file: Path) -> Behaviour:
        """Read the file. Raises TypeError for a key that is not known, OSError, ValueError."""
        return cls(**json.loads(file.read_text("utf-8")))


def create_app(config: Any = None, behaviour: Behaviour | None = None) -> Flask:
    """Return the app, as `app_factory.create_app` makes it, with the load's endpoints."""
    behaviour = behaviour or Behaviour.of(BEHAVIOUR)
    _misbehave_at_start(behaviour)
    app = app_factory.create_app(config)
    app.extensions["load.behaviour"] = behaviour
    app.register_blueprint(load)
    app.extensions["csrf"].exempt(load)
    app.before_request(_misbehave)
    app.after_request(_show)
    with app.app_context():
        # In standby another release writes: the table comes with the first write then.
        if not db.current().standby.on:
            with db.write() as session:
                _audited(session)
    return app


def _audited(session: Session) -> None:
    """Make the table of the audit where it is missing."""
    kind = session.get_bind().dialect.name
    session.execute(text(AUDIT_TABLE.format(key=KEYS[kind])))


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
        _audited(session)
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
    behaviour = _behaviour()
    if behaviour.hangs:
        print(behaviour.says, flush=True)
        time.sleep(3600)
    if behaviour.fails_after_requests and request.path.startswith("/load/"):
        if next(ASKED) >= behaviour.fails_after_requests:
            FAILING.set()
    if FAILING.is_set() or (behaviour.broken and request.path == behaviour.broken):
        raise RuntimeError(behaviour.says)
    status = behaviour.ready
    if behaviour.ready_live != 200 and _live():
        status = behaviour.ready_live
    if request.path != "/health/ready" or status == 200:
        return None
    reason = behaviour.says.format_map(os.environ) or "behaviour.json says so"
    return jsonify(ready=False, reason=reason), status


def _live() -> bool:
    """Whether this is where users are: a release that is only tried has no socket of a slot's."""
    mounts = Path("/proc/self/mountinfo").read_text()
    return re.search(r"/homeport/run/[^/ ]+/r\d+ ", mounts) is not None


def _misbehave_at_start(behaviour: Behaviour) -> None:
    """End here, or see to it that it ends badly later; `says` is told in time."""
    if behaviour.exits or (behaviour.needs and not os.environ.get(behaviour.needs)):
        _end(behaviour.says)
    if behaviour.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for after, what in (
        (behaviour.crashes_after, _end),
        (behaviour.leaks_after, _leak),
        (behaviour.fails_after, lambda says: FAILING.set()),
    ):
        if after:
            words = (after, what, behaviour.says)
            threading.Thread(target=_later, args=words, daemon=True).start()


def _later(after: float, what: Callable[[str], None], says: str) -> None:
    """Do something so long after this release became the writer."""
    standby = os.environ.get("HOMEPORT_STANDBY", "")
    while standby and os.path.exists(standby):
        time.sleep(0.02)
    time.sleep(after)
    what(says)


def _end(says: str) -> None:
    """End the process so that gunicorn ends too: with its own code of a worker that cannot boot."""
    # `{SECRET_KEY}` in it is what a careless app would print
    print(says.format_map(os.environ), file=sys.stderr, flush=True)
    os._exit(3)


def _leak(says: str) -> None:
    """Take and touch memory, 32 MiB at a time, until somebody puts an end to it."""
    print(says, flush=True)
    taken = []
    while True:
        taken.append(b"x" * (32 * 1024 * 1024))
        time.sleep(0.05)


def work() -> None:
    """Be a worker: wait for SIGTERM, or end as badly as the behaviour wants it."""
    behaviour = Behaviour.of(BEHAVIOUR)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    if not told.wait(behaviour.worker_dies_after or None):
        print(behaviour.says, file=sys.stderr, flush=True)
        sys.exit(1)


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


if __name__ == "__main__":
    work()

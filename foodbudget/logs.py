"""Logs on stdout: a JSON object a line in production, plain text in development."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from flask import g, has_request_context

from config import Config


class JsonFormatter(logging.Formatter):
    """One line of JSON: ts (UTC, RFC 3339), level, msg, request_id, release.

    Args:
        release: the release id that every line carries.
    """

    def __init__(self, release: str) -> None:
        super().__init__()
        self._release = release

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "request_id": g.get("request_id") if has_request_context() else None,
            "release": self._release,
        }
        # what the access line adds: method, path, status, ms
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(config: Config) -> None:
    """Send everything that is logged to stdout, in the form that the configuration asks for."""
    handler = logging.StreamHandler(sys.stdout)
    if config.json_logs:
        handler.setFormatter(JsonFormatter(config.release))
    else:
        handler.setFormatter(logging.Formatter("%(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    for old in [one for one in root.handlers if getattr(one, "foodbudget", False)]:
        root.removeHandler(old)
    handler.foodbudget = True  # type: ignore[attr-defined]  # marks ours, for the next set-up
    root.addHandler(handler)
    root.setLevel(config.log_level)
    # their DEBUG is every row that is read
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)

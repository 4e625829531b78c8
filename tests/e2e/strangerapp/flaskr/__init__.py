"""A small blog, written by somebody who has never heard of Homeport."""

from __future__ import annotations

import os
from typing import Any, Mapping

from flask import Flask

from flaskr import blog, db


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The app, with its database beside it in the instance folder."""
    app = Flask(__name__, instance_path="/app/instance")
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["DATABASE"] = os.path.join(app.instance_path, "flaskr.sqlite")
    app.config.update(config or {})
    os.makedirs(app.instance_path, exist_ok=True)
    app.teardown_appcontext(db.close)
    app.register_blueprint(blog.pages)
    with app.app_context():
        db.create()
    return app

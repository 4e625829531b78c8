"""MyFoodBudget's factory: `gunicorn 'app_factory:create_app()'`, `flask --app app_factory run`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from flask import Flask, url_for
from flask_wtf import CSRFProtect

from config import Config, read_config
from foodbudget import __version__, answers, api, commands, db, logs, money, people, schema
from foodbudget.categories import CATEGORIES, TOTAL, UNITS
from foodbudget.database import Database
from foodbudget.errors import ServerError
from foodbudget.proxies import Proxies
from foodbudget.standby import Standby
from foodbudget.views import accounts, budgets, data, foods, health, months, purchases, tokens
from foodbudget.views import settings as own

# Blueprints that check requests in another way: `csrf.exempt(blueprint)`.
csrf = CSRFProtect()

PACKAGE = Path(__file__).parent / "foodbudget"
LARGEST_REQUEST = 2 * 1024 * 1024

# Set by gunicorn's master once it has found the database good. A worker that it forks while the
# database's server is away starts all the same and is not ready: failing would end the master too.
database_seen = False


def create_app(config: Config | Mapping[str, str] | None = None) -> Flask:
    """Make the app, and its schema where the database is empty, this is no standby, and it serves.

    Args:
        config: checked settings, or the variables to read them from instead of the environment.

    Raises:
        ConfigError: settings are wrong; all of them are named.
        DatabaseError: the database can not be used.
    """
    settings = config if isinstance(config, Config) else read_config(config)
    logs.set_up(settings)
    app = Flask("foodbudget", root_path=str(PACKAGE))
    app.config.update(
        SECRET_KEY=settings.secret_key,
        PERMANENT_SESSION_LIFETIME=settings.session_lifetime,
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        # a form may lie open on a phone all day; the session's own lifetime bounds it
        WTF_CSRF_TIME_LIMIT=None,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        TESTING=settings.testing,
        RELEASE=settings.release,
        CURRENCY=settings.currency,
        TIMEZONE=settings.timezone,
        SIGNUP=settings.signup,
    )
    app.wsgi_app = Proxies(  # type: ignore[method-assign]
        app.wsgi_app, settings.trusted_proxies, settings.trusted_networks
    )
    database = db.at(settings.database, Standby(settings.standby))
    app.extensions[db.EXTENSION] = database
    _make_schema(app, database)
    answers.set_up(app, settings.release)
    csrf.init_app(app)
    people.set_up(app)
    for view in (health, months, purchases, foods, budgets, accounts, own, tokens, data, api):
        app.register_blueprint(view.blueprint)
    # a token is no cookie: no page elsewhere can have a browser send it
    csrf.exempt(api.blueprint)
    _set_up_templates(app, settings)
    app.cli.add_command(commands.migrate)
    app.cli.add_command(commands.schema)
    app.cli.add_command(commands.check)
    return app


def _make_schema(app: Flask, database: Database) -> None:
    if commands.asked():
        return
    try:
        if schema.create_if_empty(database):
            app.logger.info("made schema %s in the empty %s", schema.HEAD, database.name)
    except ServerError as error:
        if not database_seen:
            raise
        app.logger.error("started without the database: %s", error.problems[0])


def _set_up_templates(app: Flask, settings: Config) -> None:
    # a new stylesheet gets a new address, so that caches never mix two releases
    style = hashlib.sha256((PACKAGE / "static" / "style.css").read_bytes()).hexdigest()[:12]

    def stylesheet() -> str:
        return url_for("static", filename="style.css", v=style)

    app.add_template_filter(lambda units: money.text(units, settings.currency), "money")
    app.add_template_filter(purchases.quantity, "quantity")
    app.jinja_env.globals.update(
        stylesheet=stylesheet,
        version=__version__,
        release=settings.release,
        currency=settings.currency,
        signup=settings.signup,
        categories=CATEGORIES,
        total_key=TOTAL,
        units=UNITS,
    )

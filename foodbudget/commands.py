"""`python -m flask migrate|schema|check`: what a person, or the engine that deploys, asks of a
database without serving it."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from foodbudget import db, soundness
from foodbudget import schema as schemas


def asked() -> bool:
    """Whether this process is one of `flask`'s commands but `run`: it serves nobody, so it does
    what it is named for and makes no schema on the way."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"


@click.command()
@with_appcontext
def migrate() -> None:
    """Bring the database's schema to this release's, in one transaction."""
    click.echo(schemas.told_of(*schemas.migrate(db.of(current_app))))


@click.command()
@with_appcontext
def schema() -> None:
    """Print the schema's version, and the one it would have after `migrate`; change nothing."""
    click.echo(" ".join(schemas.versions(db.of(current_app))))


@click.command()
@with_appcontext
def check() -> None:
    """Read what is in the database and add it up; change nothing. Exit 1 where it is not sound."""
    click.echo(soundness.check(db.of(current_app)))

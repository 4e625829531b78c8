"""`python -m foodbudget schema|migrate|check`: as `python -m flask` has them, and sooner done.

No page, no form and no Flask is loaded: in a deploy that migrates, people wait for these.
"""

from __future__ import annotations

import click

from config import read_config
from foodbudget.errors import DatabaseError
from foodbudget.standby import Standby


@click.group()
def main() -> None:
    """What is asked of MyFoodBudget's database without serving it."""


@main.command()
def schema() -> None:
    """Print the schema's version, and the one it would have after `migrate`; change nothing."""
    from foodbudget import glance

    where = read_config().database
    try:
        found = glance.versions(where)
    except DatabaseError:
        raise
    except Exception:
        # whatever it is, the long way says it in words
        from foodbudget import db, schema

        found = schema.versions(db.at(where, Standby(None)))
    click.echo(" ".join(found))


@main.command()
def migrate() -> None:
    """Bring the database's schema to this release's, in one transaction."""
    from foodbudget import db, schema

    settings = read_config()
    before, after = schema.migrate(db.at(settings.database, Standby(settings.standby)))
    click.echo(schema.told_of(before, after))


@main.command()
def check() -> None:
    """Read what is in the database and add it up; change nothing. Exit 1 where it is not sound."""
    from foodbudget import db, soundness

    settings = read_config()
    click.echo(soundness.check(db.at(settings.database, Standby(settings.standby))))


if __name__ == "__main__":
    main(prog_name="python -m foodbudget")

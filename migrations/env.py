"""Runs migrations on the connection it is given, inside that connection's transaction."""

from alembic import context
from sqlalchemy import MetaData

from foodbudget.naming import NAMES

context.configure(
    connection=context.config.attributes["connection"],
    # only for the names: people wait for a migration, and the models take their time to load
    target_metadata=MetaData(naming_convention=NAMES),
    # SQLite can't alter most things in place: Alembic copies the table instead
    render_as_batch=True,
    # SQLite's tables are made and dropped in transactions as PostgreSQL's are; of SQLite Alembic
    # assumes the opposite
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

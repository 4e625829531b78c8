"""Runs migrations on the connection it is given, inside that connection's transaction."""

from alembic import context

from foodbudget.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can't alter most things in place: Alembic copies the table instead
    render_as_batch=True,
    # SQLite's tables are made and dropped in transactions as PostgreSQL's are; of SQLite Alembic
    # assumes the opposite
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Whether the data is sound: the schema fits, every row can be read, and the sums agree.

Asked of a database that was restored, and of one that serves. What SQLite's own integrity check
and PostgreSQL's checksums find is not looked for here, but what only this app can know: that these
are its tables, and that its pages come out of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from foodbudget import schema, spending
from foodbudget.database import Database
from foodbudget.errors import DatabaseError, ServerError, UnsoundError
from foodbudget.models import Base, Budget, Login, Purchase, Token, User
from foodbudget.months import Month


def check(database: Database) -> str:
    """Look at everything once; nothing is changed, no file is made.

    Returns:
        what is there, in a sentence.

    Raises:
        UnsoundError: with all that is wrong.
        ServerError: the database's server does not answer.
    """
    if database.absent:
        raise UnsoundError([f"there is no {database.name}"])
    try:
        with schema.told(database), database.look_connection() as connection:
            return _check(database, connection)
    except ServerError:
        raise
    except DatabaseError as error:
        raise UnsoundError(_in_short(database, error)) from error
    except ValueError as error:
        # a column holds what is no value of its type
        raise UnsoundError([f"{database.name} holds what can not be read ({error})"]) from error


def _in_short(database: Database, error: DatabaseError) -> Sequence[str]:
    """What the database said, without what mends a start."""
    cause = error.__cause__
    if isinstance(cause, DBAPIError):
        return [f"{database.name} can not be read ({' '.join(str(cause.orig).split())})"]
    return error.problems


def _check(database: Database, connection: Connection) -> str:
    state = schema.look(database, connection)
    if state.reason:
        raise UnsoundError([f"{database.name}: {state.reason}"])
    with Session(connection, autoflush=False) as session:
        users = _rows(session, User)
        purchases, foods = _rows(session, Purchase), _foods(session)
        budgets = _rows(session, Budget)
        problems = [*_orphans(session), *_sums(session), *_page(session)]
    if problems:
        raise UnsoundError(problems)
    counts = f"users {users}, purchases {purchases}, foods {foods}, budgets {budgets}"
    return f"schema {state.found}; {counts}: all can be read and add up"


def _rows(session: Session, model: type[Base]) -> int:
    """How many there are; every column of every row is looked at to know it."""
    columns = model.__table__.columns
    return int(session.execute(select(func.count(), *map(func.max, columns))).one()[0])


def _foods(session: Session) -> int:
    return session.scalar(select(func.count(Purchase.food.distinct()))) or 0


def _orphans(session: Session) -> Iterator[str]:
    """Rows of nobody."""
    for model in (Purchase, Budget, Login, Token):
        owner = select(User.id).where(User.id == model.user_id)
        count = session.scalar(select(func.count()).select_from(model).where(~owner.exists()))
        if count:
            yield f"rows of {model.__tablename__} that belong to nobody: {count}"


def _sums(session: Session) -> Iterator[str]:
    """What everything cost: by the rows, and as months are added up, along an index."""
    paid = func.coalesce(func.sum(Purchase.price), 0)
    # the shop is in no index: the rows themselves are read
    by_row = session.execute(select(func.count(), paid, func.max(Purchase.shop))).one()
    lowest, least = session.execute(
        select(func.min(Purchase.price), func.min(Purchase.quantity))
    ).one()
    days = select(func.count().label("number"), paid.label("paid")).group_by(
        Purchase.user_id, Purchase.day, Purchase.category
    )
    parts = days.subquery()
    number, spent = session.execute(
        select(*(func.coalesce(func.sum(one), 0) for one in (parts.c.number, parts.c.paid)))
    ).one()
    if (by_row[0], by_row[1]) != (number, spent):
        yield f"{by_row[0]} purchases add up to {by_row[1]}, by day they are {number} and {spent}"
    if lowest is not None and (lowest < 0 or least <= 0):
        yield f"there is a price of {lowest}, or a quantity of {least}"


def _page(session: Session) -> Iterator[str]:
    """The month of the latest purchase, as its owner would see it, and in the list of months."""
    last = session.execute(
        select(Purchase.user_id, Purchase.day).order_by(Purchase.id.desc()).limit(1)
    ).one_or_none()
    if last is None:
        return
    month = Month.of(last.day)
    page = spending.overview(session, last.user_id, month).total.spent
    listed = {one: spent for one, spent, _ in spending.months(session, last.user_id)}
    if listed.get(month) != page:
        yield f"{month} cost {page} on its page and {listed.get(month)} in the list of months"

"""The tables. What changes here needs a migration in `migrations/versions`."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from foodbudget.naming import NAMES


def now() -> datetime:
    """This moment in UTC; stored without a zone, since SQLite has no type for one."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


class Base(DeclarativeBase):
    """What all tables share: constraint names that a migration can rely on."""

    metadata = MetaData(naming_convention=NAMES)


class User(Base):
    """An account. `name` is stored folded, so that `Ada` and `ada` are one person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Purchase(Base):
    """Something bought. `price` is what was paid for all of it, in the currency's smallest unit;
    `quantity` counts thousandths of `unit`, so that 0.75 kg is exact."""

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("quantity > 0", name="quantity"),
        Index(None, "user_id", "day"),
        # a month is added up, and a food's prices are found, without touching the rows themselves
        Index(None, "user_id", "day", "category", "price"),
        Index(None, "user_id", "food", "day"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    food: Mapped[str] = mapped_column(String(100))
    category: Mapped[str] = mapped_column(String(20))
    quantity: Mapped[int] = mapped_column(default=1000)
    unit: Mapped[str] = mapped_column(String(8), default="pcs")
    price: Mapped[int]
    day: Mapped[date]
    shop: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)


class Budget(Base):
    """What a month may cost, from `month` (`2026-11`) on until a later row says otherwise.

    `category` is a key of CATEGORIES, or TOTAL; `amount` is in the smallest unit, 0 lifts the
    budget.
    """

    __tablename__ = "budgets"
    __table_args__ = (CheckConstraint("amount >= 0", name="amount"),)

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    category: Mapped[str] = mapped_column(String(20), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    amount: Mapped[int]


class Login(Base):
    """A browser that is logged in. `id` is the SHA-256 of what its cookie holds: who reads the
    table, or a backup of it, can not log in with it."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Token(Base):
    """A program's way in. Only the SHA-256 of the token is kept; `hint` is how it begins."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(12))
    created_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime | None]


class Attempt(Base):
    """How often somebody has tried something that may be tried only so often, until `ends_at`.

    `key` is a keyed hash of a name or an address: people type passwords into the field for the
    name, and where they come from is nobody's business.
    """

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    ends_at: Mapped[datetime] = mapped_column(index=True)


class SchemaOldest(Base):
    """One row: the oldest schema version whose code still works with these tables."""

    __tablename__ = "schema_oldest"

    revision: Mapped[str] = mapped_column(String(32), primary_key=True)

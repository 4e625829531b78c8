"""The tables. What changes here needs a migration in `migrations/versions`."""

from __future__ import annotations

from datetime import UTC, date, datetime

from flask_login import UserMixin
from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def _now() -> datetime:
    """This moment in UTC; stored without a zone, since SQLite has no type for one."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


class Base(DeclarativeBase):
    """What all tables share: constraint names that a migration can rely on."""

    metadata = MetaData(naming_convention=NAMES)


class User(UserMixin, Base):  # type: ignore[misc]  # flask_login ships no types
    """An account. `name` is stored folded, so that `Ada` and `ada` are one person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Purchase(Base):
    """Something bought. `price` is what was paid for all of it, in the currency's smallest unit;
    `quantity` counts thousandths of `unit`, so that 0.75 kg is exact."""

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("quantity > 0", name="quantity"),
        Index(None, "user_id", "day"),
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
    created_at: Mapped[datetime] = mapped_column(default=_now)


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

"""Tokens: a program's way in. Shown once, kept as a hash."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from foodbudget import models, sessions
from foodbudget.models import Token, User

PREFIX = "mfb_"
FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
MOST = 20
# when a token was last used is written down at most this often
TOUCH = timedelta(minutes=10)


def make(session: Session, user_id: int, name: str) -> str:
    """A new token; the one time that its text is known."""
    text = PREFIX + secrets.token_urlsafe(32)
    session.add(
        Token(
            user_id=user_id, name=name, token_hash=sessions.key(text), hint=text[: len(PREFIX) + 4]
        )
    )
    return text


def look(session: Session, text: str) -> tuple[User, Token] | None:
    """Whose token this is; None if it is nobody's."""
    if not FORM.fullmatch(text):
        return None
    row = session.execute(
        select(User, Token)
        .join(Token, Token.user_id == User.id)
        .where(Token.token_hash == sessions.key(text))
    ).first()
    return None if row is None else (row[0], row[1])


def due(token: Token) -> bool:
    """Whether it is time to write down that it is in use."""
    return token.used_at is None or models.now() - token.used_at >= TOUCH


def touch(session: Session, token_id: int) -> None:
    """Write down that it is in use."""
    session.execute(update(Token).where(Token.id == token_id).values(used_at=models.now()))


def of(session: Session, user_id: int) -> Sequence[Token]:
    """Somebody's tokens, the oldest first."""
    return session.scalars(select(Token).where(Token.user_id == user_id).order_by(Token.id)).all()


def full(session: Session, user_id: int) -> bool:
    """Whether somebody has as many as one may have."""
    count = select(func.count()).select_from(Token).where(Token.user_id == user_id)
    return (session.scalar(count) or 0) >= MOST


def revoke(session: Session, user_id: int, token_id: int) -> None:
    """Let it open nothing any more; somebody else's stays as it is."""
    session.execute(delete(Token).where(Token.id == token_id, Token.user_id == user_id))

"""The pages: all posts, and one form for a new one."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from flaskr import db

pages = Blueprint("blog", __name__)


@pages.get("/")
def index() -> str:
    """All posts, the newest first."""
    posts = db.get().execute("SELECT title, body, written FROM post ORDER BY id DESC").fetchall()
    return render_template("index.html", posts=posts)


@pages.post("/")
def create() -> Response:
    """Stores a post, and shows all of them."""
    title = request.form.get("title", "").strip()
    if title:
        with db.get() as connection:
            connection.execute(
                "INSERT INTO post (title, body) VALUES (?, ?)",
                (title, request.form.get("body", "")),
            )
    else:
        flash("A title is needed.")
    return redirect(url_for("blog.index"), 303)

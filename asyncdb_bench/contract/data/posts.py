"""Authors and their posts: rows that belong together, rows of a width, several reads a request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from sqlalchemy import BigInteger, Connection, ForeignKey, Text, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from asyncdb_bench.contract.data.accounts import Count, Queries, Seconds
from asyncdb_bench.contract.operation import (
    AtOnce,
    Operation,
    Params,
    Pause,
    Steps,
    Streamed,
    operation,
)

POSTS = 2
"""Posts of each author."""
DIGITS = 32
"""Of an MD5 sum, of which bodies are made."""
SELECTIN_KEYS = 500
"""Keys that `selectinload` asks for in one statement (SQLAlchemy manual, "Select IN loading")."""

Id = Annotated[int, msgspec.Meta(ge=1)]
Width = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Longer = Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class PostTables(DeclarativeBase):
    """Tables of authors and posts."""


class Author(PostTables):
    """Who wrote :data:`POSTS` posts."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    posts: Mapped[list[Post]] = relationship(back_populates="author", order_by="Post.id")


class Post(PostTables):
    """A row as wide as its body."""

    __tablename__ = "post"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    author_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("author.id"), index=True)
    body: Mapped[str] = mapped_column(Text)
    author: Mapped[Author] = relationship(back_populates="posts")


@dataclass(frozen=True, slots=True)
class PostData:
    """Authors and their posts; equal for equal parameters.

    Parameters
    ----------
    authors : how many.
    width : characters of a post's body.
    """

    authors: int
    width: int

    @property
    def key(self) -> str:
        """Return what names the template database."""
        return f"posts_{self.authors}_{self.width}"

    def create(self, connection: Connection) -> None:
        """Create and fill the tables, and gather the planner's statistics."""
        PostTables.metadata.create_all(connection)
        connection.execute(
            text(
                "INSERT INTO author SELECT g, 'author-' || g"
                " FROM generate_series(1, CAST(:authors AS bigint)) AS g"
            ),
            {"authors": self.authors},
        )
        connection.execute(
            text(
                "INSERT INTO post SELECT g, (g + 1) / 2, left(repeat(md5(CAST(g AS text)),"
                " CAST(:times AS integer)), CAST(:width AS integer))"
                " FROM generate_series(1, CAST(:posts AS bigint)) AS g"
            ),
            {
                "posts": self.authors * POSTS,
                "width": self.width,
                "times": self.width // DIGITS + 1,
            },
        )
        connection.commit()
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def page_rows(params: Params) -> int:
    """Return how many rows a page's statements return."""
    related, plain = divmod(params["queries"], 2)
    return int((related * (1 + POSTS) + plain) * params["rows"])


def page_statements(params: Params) -> int:
    """Return how many statements a page with `selectinload` sends at most."""
    related, plain = divmod(params["queries"], 2)
    return int(related * (1 + math.ceil(params["rows"] / SELECTIN_KEYS)) + plain)


def _right_page(params: Params, answer: Params) -> bool:
    related, plain = divmod(params["queries"], 2)
    posts = (related * POSTS + plain) * params["rows"]
    return bool(answer["rows"] == page_rows(params) and answer["posts"] == posts)


def _authors(first: int, rows: int) -> Any:
    return Author.id.between(first, first + rows - 1)


@operation(check=_right_page, rows=page_rows, transactions=page_statements, reads=True, orm=True)
def page(first: Id, queries: Queries, rows: Count, width: Width) -> Steps:
    """Read authors with their posts by the ORM, two statements at a time; one read more if odd.

    `queries` is how many statements that comes to; by `width` the whole posts are counted.
    """
    seen = characters = 0
    for number in range(queries // 2):
        wanted = _authors(first + number * rows, rows)
        found = yield select(Author).where(wanted).options(selectinload(Author.posts))
        for author in found.scalars():
            seen += 1 + len(author.posts)
            characters += sum(len(post.body) for post in author.posts)
    if queries % 2:
        found = yield select(Post).where(Post.id.between(first, first + rows - 1))
        bodies = [post.body for post in found.scalars()]
        seen, characters = seen + len(bodies), characters + sum(map(len, bodies))
    return {"rows": seen, "posts": characters // width}


@operation(
    check=_right_page, rows=page_rows, transactions=lambda params: params["queries"], reads=True
)
def page_core(first: Id, queries: Queries, rows: Count, width: Width) -> Steps:
    """Read the same rows by Core: columns, no entities."""
    seen = characters = 0
    for number in range(queries // 2):
        start = first + number * rows
        authors = (yield select(Author.id, Author.name).where(_authors(start, rows))).all()
        of_them = Post.author_id.between(start, start + rows - 1)
        posts = (yield select(Post.author_id, Post.body).where(of_them)).all()
        seen += len(authors) + len(posts)
        characters += sum(len(post.body) for post in posts)
    if queries % 2:
        wanted = Post.id.between(first, first + rows - 1)
        posts = (yield select(Post.id, Post.body).where(wanted)).all()
        seen, characters = seen + len(posts), characters + sum(len(each.body) for each in posts)
    return {"rows": seen, "posts": characters // width}


def fanout_rows(params: Params) -> int:
    """Return how many rows the reads return."""
    return int(params["queries"] * params["rows"])


def _right_fanout(params: Params, answer: Params) -> bool:
    rows = fanout_rows(params)
    return bool(answer["rows"] == rows and answer["posts"] == rows)


def _spans(first: int, queries: int, rows: int) -> list[Any]:
    starts = [first + number * rows for number in range(queries)]
    return [Post.id.between(start, start + rows - 1) for start in starts]


fanned = operation(
    check=_right_fanout,
    rows=fanout_rows,
    transactions=lambda params: params["queries"],
    reads=True,
    independent=True,
)


@fanned
def fanout(first: Id, queries: Queries, rows: Count, width: Width) -> Steps:
    """Read posts by several reads that may run at once."""
    wanted = _spans(first, queries, rows)
    results = yield AtOnce(tuple(select(Post.id, Post.body).where(each) for each in wanted))
    bodies = [post.body for found in results for post in found]
    return {"rows": len(bodies), "posts": sum(map(len, bodies)) // width}


@fanned
def fanout_orm(first: Id, queries: Queries, rows: Count, width: Width) -> Steps:
    """Read the same posts as entities."""
    wanted = _spans(first, queries, rows)
    results = yield AtOnce(tuple(select(Post).where(each) for each in wanted))
    bodies = [post.body for found in results for post in found.scalars()]
    return {"rows": len(bodies), "posts": sum(map(len, bodies)) // width}


@operation(
    check=_right_fanout,
    rows=fanout_rows,
    transactions=lambda params: params["queries"],
    reads=True,
)
def listed(first: Id, queries: Queries, rows: Count, width: Width, longer: Longer) -> Steps:
    """Read posts by lists of their keys, one list after another.

    Each list names its first key `longer` times more: a statement of its own for the driver and the
    database, with the same rows.
    """
    seen = characters = 0
    for start in range(first, first + queries * rows, rows):
        keys = [*range(start, start + rows), *[start] * longer]
        posts = (yield select(Post.id, Post.body).where(Post.id.in_(keys))).all()
        seen, characters = seen + len(posts), characters + sum(len(each.body) for each in posts)
    return {"rows": seen, "posts": characters // width}


@operation(
    check=_right_fanout,
    transactions=lambda params: params["queries"],
    reads=True,
    streams=True,
)
def streamed(first: Id, queries: Queries, rows: Count, width: Width, part: Count) -> Steps:
    """Read posts by cursors, one after another, `part` rows at a time."""
    lengths: list[int] = []
    for wanted in _spans(first, queries, rows):
        statement = select(Post.id, Post.body).where(wanted)
        yield Streamed(statement, part, lambda rows: lengths.extend(len(row.body) for row in rows))
    return {"rows": len(lengths), "posts": sum(lengths) // width}


def _right_hold(params: Params, answer: Params) -> bool:
    return bool(answer["ids"] == [params["first"], params["first"] + 1])


@operation(check=_right_hold, rows=2, transactions=2, reads=True, pauses=True)
def hold(first: Id, seconds: Seconds) -> Steps:
    """Read a post, wait for something else with the session open, read another."""
    one = (yield select(Post.id).where(Post.id == first)).scalar_one()
    yield Pause(seconds)
    other = (yield select(Post.id).where(Post.id == first + 1)).scalar_one()
    return {"ids": [one, other]}


@operation(check=_right_hold, rows=2, transactions=2, reads=True, pauses=True)
def released(first: Id, seconds: Seconds) -> Steps:
    """Do the same, and give the connection back while waiting."""
    one = (yield select(Post.id).where(Post.id == first)).scalar_one()
    yield Pause(seconds, hold=False)
    other = (yield select(Post.id).where(Post.id == first + 1)).scalar_one()
    return {"ids": [one, other]}


# other processes find an operation by its name in its module
page_uncommitted = page.uncommitted()
page_core_uncommitted = page_core.uncommitted()
listed_uncommitted = listed.uncommitted()
streamed_uncommitted = streamed.uncommitted()
OPERATIONS: dict[str, Operation] = {
    each.name: each for each in tuple(globals().values()) if isinstance(each, Operation)
}

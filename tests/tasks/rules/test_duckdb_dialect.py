"""The dialect: what SQLAlchemy sees of a live DuckDB connection."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
import sqlalchemy as sa

from tasks.rules.duckdb_dialect import DuckDBType, lend, sqlalchemy_type


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(
            'CREATE TABLE calls (id BIGINT NOT NULL, "odd "" name" VARCHAR, price DECIMAL(9, 2), '
            "tags VARCHAR[], body JSON, begun TIMESTAMP, latency DOUBLE)"
        )
        opened.execute("CREATE VIEW recent AS SELECT id FROM calls")
        opened.execute("CREATE SCHEMA other; CREATE TABLE other.notes (text VARCHAR)")
        yield opened


@pytest.fixture
def engine(connection: duckdb.DuckDBPyConnection) -> Iterator[sa.Engine]:
    with lend(connection) as url:
        made = sa.create_engine(url)
        yield made
        made.dispose()


def test_columns_come_with_order_type_and_nullability(engine: sa.Engine) -> None:
    columns = sa.inspect(engine).get_columns("calls")
    assert [column["name"] for column in columns] == [
        "id",
        'odd " name',
        "price",
        "tags",
        "body",
        "begun",
        "latency",
    ]
    assert [column["nullable"] for column in columns][:2] == [False, True]
    kinds = [type(column["type"]) for column in columns]
    assert kinds == [
        sa.BIGINT,
        sa.VARCHAR,
        sa.NUMERIC,
        DuckDBType,
        DuckDBType,
        sa.TIMESTAMP,
        sa.DOUBLE,
    ]


@pytest.mark.parametrize("name", ["VARCHAR[]", "JSON", "STRUCT(a INTEGER)", "MAP(VARCHAR, BIGINT)"])
def test_a_type_postgres_does_not_know_keeps_its_name(engine: sa.Engine, name: str) -> None:
    assert sqlalchemy_type(name).compile(dialect=engine.dialect) == name


def test_tables_views_and_schemas_are_found(engine: sa.Engine) -> None:
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() == ["calls"]
    assert inspector.get_view_names() == ["recent"]
    assert inspector.get_table_names(schema="other") == ["notes"]
    assert {"main", "other"} <= set(inspector.get_schema_names())
    assert inspector.has_table("recent")
    assert not inspector.has_table("notes")
    assert inspector.get_pk_constraint("calls")["constrained_columns"] == []
    assert inspector.get_foreign_keys("calls") == []
    assert inspector.get_indexes("calls") == []


def test_a_missing_table_is_named(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.NoSuchTableError, match="nothing"):
        sa.inspect(engine).get_columns("nothing")


def test_a_result_outlives_the_connection_it_came_from(
    connection: duckdb.DuckDBPyConnection, engine: sa.Engine
) -> None:
    connection.execute("INSERT INTO calls (id) SELECT range FROM range(5000)")
    with engine.connect() as borrowed:
        result = borrowed.execute(sa.text("SELECT id FROM calls ORDER BY id"))
    assert [row.id for row in result] == list(range(5000))


def test_values_are_bound_and_never_become_sql(
    connection: duckdb.DuckDBPyConnection, engine: sa.Engine
) -> None:
    hostile = "'; DROP TABLE calls; --"
    name = sa.Column('odd " name', sa.VARCHAR)
    table = sa.Table("calls", sa.MetaData(), sa.Column("id", sa.BIGINT), name)
    with engine.begin() as borrowed:
        borrowed.execute(table.insert(), {"id": 1, 'odd " name': hostile})
        assert borrowed.execute(sa.select(name).where(name == hostile)).scalar() == hostile
        literal = (
            sa.select(name)
            .where(name == hostile)
            .compile(engine, compile_kwargs={"literal_binds": True})
        )
        assert borrowed.exec_driver_sql(str(literal)).scalar() == hostile
    assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)


@pytest.mark.parametrize(
    ("pattern", "found"), [("b", True), ("^a.c$", True), (r"\d", False), ("'", False)]
)
def test_a_regex_searches_as_in_postgres(engine: sa.Engine, pattern: str, found: bool) -> None:
    text = sa.literal("abc")
    with engine.connect() as borrowed:
        assert borrowed.execute(sa.select(text.op("~")(pattern))).scalar() is found
        assert borrowed.execute(sa.select(text.op("!~")(pattern))).scalar() is not found
        assert borrowed.execute(sa.select(sa.literal(3).op("%")(2))).scalar() == 1


def test_closing_and_rolling_back_leave_the_lent_connection_alone(
    connection: duckdb.DuckDBPyConnection, engine: sa.Engine
) -> None:
    with engine.connect() as borrowed:
        borrowed.execute(sa.text("SELECT 1"))
        borrowed.rollback()
    engine.dispose()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_is_reachable_only_while_it_is_lent(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    with lend(connection) as url:
        pass
    with pytest.raises(KeyError):
        sa.create_engine(url).connect()


def test_two_connections_lent_at_once_are_told_apart() -> None:
    with duckdb.connect() as one, duckdb.connect() as two:
        one.execute("CREATE TABLE t AS SELECT 1 AS x")
        two.execute("CREATE TABLE t AS SELECT 2 AS x")
        with lend(one) as first, lend(two) as second:
            for url, expected in ((first, 1), (second, 2)):
                with sa.create_engine(url).connect() as borrowed:
                    assert borrowed.execute(sa.text("SELECT x FROM t")).scalar() == expected

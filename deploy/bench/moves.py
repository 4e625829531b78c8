"""What the scenarios of data share: MyFoodBudget on either database, and its real rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from bench import images
from bench.images import MARK, TOP
from bench.stage import Stage
from lab import hosts
from lab.database import ensure_database
from lab.load import AuditRow
from lab.registry import ensure_registry

#: how long a migration and a start may take, in seconds: what hangs must fit the hold limit with
#: the way back
WITHIN, START = 12, 10
SETTINGS = """app = "myfoodbudget"
[host]
address = "{address}"
[web]
ready = "/health/ready"
standby = true
[site]
port = 80
[deploy]
hold = "{hold}"
start = "{start}s"
[backup]
{backup}{postgres}check = ["python", "-m", "foodbudget", "check"]
[migrate]
command = ["python", "-m", "foodbudget", "migrate"]
schema = ["python", "-m", "foodbudget", "schema"]
within = "{within}s"
"""
DATABASE = """
  db:
    image: {image}
    labels: {{homeport.shared: "true"}}
    environment:
      POSTGRES_USER: foodbudget
      POSTGRES_DB: foodbudget
      POSTGRES_PASSWORD: ${{DB_PASSWORD}}
    volumes: ["db:/var/lib/postgresql/data"]
    restart: unless-stopped
    healthcheck:
      test: [CMD, pg_isready, -U, foodbudget, -h, 127.0.0.1]
      interval: 1s
      retries: 60
volumes:
  db: {{}}
"""
PASSWORD = "nobody-reaches-it"
#: what a migration that broke off half-way leaves behind, besides its new column
HALF = "SELECT count(*) FROM purchases WHERE price = 0"
AUDIT = "SELECT {} FROM load_audit ORDER BY rowid".format(", ".join(AuditRow._fields))

# Runs on the host itself: the step would be over before the test heard of it from outside.
_KILL = """
import json, os, signal, sys, time
app, step, after = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = f"/opt/{app}/journal.jsonl"
end = time.monotonic() + 90
while True:
    with open(path, "rb") as stream:
        stream.seek(after)
        lines = [json.loads(one) for one in stream.read().splitlines() if one.endswith(b"}")]
    if any(one["k"] == "intent" and one["step"] == step for one in lines):
        break
    if time.monotonic() > end or any(one["k"] == "end" for one in lines):
        sys.exit(f"the deploy did not come to {step}: {lines[-3:]}")
    time.sleep(0.002)
os.kill(json.load(open(f"/opt/{app}/lock"))["pid"], signal.SIGKILL)
print(time.time())
"""


@dataclass
class Moves:
    """A stage whose app migrates, on ``kind``: "sqlite" or "postgres"."""

    stage: Stage
    kind: str
    #: further lines of [backup]
    backup: str = ""

    @classmethod
    def up(
        cls, kind: str, talk: Callable[[str], None], name: str = "moves", disk: bool = False
    ) -> Moves:
        """Bring a host up for it; nothing is deployed yet."""
        stage = Stage.up(f"e2e-{MARK}-{name}-{kind}", "systemd", talk, disk=disk)
        moves = cls(stage, kind)
        moves.settings()
        if kind == "postgres":
            image = f"{ensure_registry(talk)}/postgres:17"
            images.docker("tag", ensure_database(talk), image)
            images.push(image)
            text = (TOP / "docker-compose.prod.yml").read_text()
            text = text.replace("    volumes:\n      - ./data:/app/data\n", "")
            (stage.folder / "docker-compose.prod.yml").write_text(
                text.rstrip() + DATABASE.format(image=image)
            )
            stage.write_env(
                {
                    "SECRET_KEY": "s" * 48,
                    "DB_PASSWORD": PASSWORD,
                    "DATABASE_URL": f"postgresql://foodbudget:{PASSWORD}@db:5432/foodbudget",
                }
            )
        return moves

    def settings(self, hold: str = "45s", within: int = WITHIN, start: int = START) -> None:
        """Write homeport.toml."""
        text = SETTINGS.format(
            address=self.stage.host.address,
            hold=hold,
            within=within,
            start=start,
            backup=self.backup,
            postgres='postgres = "DATABASE_URL"\n' if self.kind == "postgres" else "",
        )
        (self.stage.folder / "homeport.toml").write_text(text)

    def fill(self) -> None:
        """Make the database about ten megabytes large, through the app's own container."""
        if self.kind == "sqlite":
            script = (
                "import os, sqlite3; c = sqlite3.connect('/app/data/myfoodbudget.db', timeout=30);"
                " c.execute('CREATE TABLE filler (id INTEGER PRIMARY KEY, data BLOB)');"
                " c.executemany('INSERT INTO filler (data) VALUES (?)',"
                " ((os.urandom(10000),) for _ in range(1000))); c.commit()"
            )
            web = next(one for one in self.stage.running() if "-web-" in one)
            self.stage.on_host("docker", "exec", web, "python3", "-c", script)
            return
        text = "repeat(md5(random()::text), 300)"
        query = (
            f"CREATE TABLE filler AS SELECT n AS id, {text} AS data FROM generate_series(1, 1000) n"
        )
        psql = ("psql", "-q", "-U", "foodbudget", "-d", "foodbudget", "-c", query)
        self.stage.on_host("docker", "exec", "myfoodbudget-db-1", *psql)

    def kills(self, step: str) -> Callable[[], float]:
        """Have the executor killed when it begins ``step`` of a run that is yet to come."""
        path = f"/opt/{self.stage.app}/journal.jsonl"
        size = self.stage.on_host("stat", "-c", "%s", path).strip()
        words = [self.stage.app, step, size]
        return lambda: float(self.stage.on_host("python3", "-I", "-c", _KILL, *words))

    def rows(self, query: str) -> list[list[object]]:
        """What a query finds in the live database, past the app and the engine."""
        if self.kind == "sqlite":
            script = (
                "import json, sqlite3, sys; c = sqlite3.connect("
                "'file:/opt/myfoodbudget/data/myfoodbudget.db?mode=ro', uri=True);"
                " print(json.dumps([list(one) for one in c.execute(sys.argv[1])]))"
            )
            return list(json.loads(self.stage.on_host("python3", "-I", "-c", script, query)))
        wrapped = f"SELECT coalesce(json_agg(to_json(t)), '[]') FROM ({query}) t"
        psql = ("psql", "-U", "foodbudget", "-d", "foodbudget", "-At", "-c", wrapped)
        answer = self.stage.on_host("docker", "exec", "myfoodbudget-db-1", *psql)
        return [list(one.values()) for one in json.loads(answer)]

    def audit(self) -> list[AuditRow]:
        """The audit rows of the load."""
        return [AuditRow(*one) for one in self.rows(AUDIT)]  # type: ignore[arg-type]

    def schema(self) -> str:
        """The version that the database says it has."""
        return str(self.rows("SELECT version_num FROM alembic_version")[0][0])

    def sound(self) -> None:
        """The database is whole, and nothing of a migration that broke off is left in it."""
        assert self.rows(HALF) == [[0]], "half of a migration is left"
        if self.kind == "sqlite":
            assert self.rows("PRAGMA integrity_check") == [["ok"]]
            assert self.rows("PRAGMA foreign_key_check") == []
        columns = "SELECT * FROM purchases LIMIT 1"
        has = len(self.rows(columns)[0])
        assert (has == 11) == (self.schema() == "0003"), (has, self.schema())

    def down(self) -> None:
        """Remove the host."""
        hosts.boot(self.stage.host)
        self.stage.down()

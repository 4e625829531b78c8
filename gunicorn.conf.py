"""How gunicorn serves MyFoodBudget; found by itself in the working folder."""

import logging
import os
import sys

from gunicorn.config import Config as GunicornConfig
from gunicorn.glogging import Logger

from foodbudget.errors import StartError
from foodbudget.logs import JsonFormatter

# Homeport gives each release a socket of its own.
bind = os.environ.get("HOMEPORT_BIND") or "0.0.0.0:8000"
wsgi_app = "app_factory:create_app()"

# SQLite has one writer, and a Pi little memory: threads of one process share both well.
worker_class = "gthread"
workers = 1
threads = 16
# heartbeats in memory: an SD card must not be able to stall them
worker_tmp_dir = "/dev/shm"
timeout = 60
# below stop_grace_period (30 s) of the compose file, so that Docker never has to kill
graceful_timeout = 20
# longer than a proxy keeps an idle connection, so that the proxy is the one to close it
keepalive = 75
# of the socket file: the edge runs as another user and must be able to connect
umask = 0
# the app decides whose X-Forwarded-* headers count (TRUSTED_NETWORKS): gunicorn would believe
# whoever is on this machine, and let them say under which path the app lies
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
# a second door that nobody uses, and that a read-only root refuses
control_socket_disable = True
# the app logs requests itself, with their ids
accesslog = None


class JsonLogger(Logger):
    """gunicorn's own lines, on stdout in the form of the app's."""

    def setup(self, cfg: GunicornConfig) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stdout)
                handler.setFormatter(JsonFormatter(os.environ.get("HOMEPORT_RELEASE") or "dev"))


if (os.environ.get("FLASK_ENV") or "production") == "production":
    logger_class = JsonLogger


def on_starting(server: object) -> None:
    """Check the settings and the database before anything listens.

    A mistake ends gunicorn with its lines and an exit code, instead of a worker's traceback.
    """
    import app_factory
    from foodbudget import db

    try:
        app = app_factory.create_app()
    except StartError as error:
        print(error.format_message(), file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    # the worker is forked from here and must not inherit open connections
    db.of(app).close()
    app_factory.database_seen = True


def on_exit(server: object) -> None:
    """The same for the master, where it was told to stop; any other end keeps its exit code."""
    if isinstance(sys.exc_info()[1], StopIteration):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def worker_exit(server: object, worker: object) -> None:
    """End a stopped worker at once, once its database is closed.

    What is left is the interpreter's own tidying; a handover waits for this process, and requests
    wait for the handover. A worker that failed takes the long way: its exit code tells.
    """
    from foodbudget import db

    if getattr(worker, "alive", True) or not getattr(worker, "booted", False):
        return
    try:
        db.of(worker.wsgi).close()  # type: ignore[attr-defined]
    finally:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)

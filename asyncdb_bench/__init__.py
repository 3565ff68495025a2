"""asyncdb-bench measures how a Tornado application should call its SQL database."""

__version__ = "0.1.0"

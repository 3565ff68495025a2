"""Task queues beside Celery: ``--strategy queues`` compares them with what stands in `BESIDE`."""

BESIDE = ("celery", "executor")

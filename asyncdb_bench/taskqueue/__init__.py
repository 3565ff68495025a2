"""The Celery application that `celery` and `celery_aio` share: task, worker, waiting futures."""

"""What the Celery ways share: the task, its worker's knobs, and how results come back.

In: operations by name. Out: tasks published, replies as futures on the event loop.
"""

"""What task queues beside Celery have in common: a task is a text, and so is its reply.

In: operations by name. Out: texts for a queue's library to carry, and answers out of those that it
brings back; on the other side a worker that runs them in sessions of its own.
"""

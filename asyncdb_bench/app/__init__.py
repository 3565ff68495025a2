"""The Tornado side: the application, its heartbeat and control channel, Celery's worker.

In: a configuration message, HTTP and WebSocket requests. Out: answers with their timing, and
heartbeats to the harness.
"""

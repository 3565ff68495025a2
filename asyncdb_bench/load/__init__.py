"""The client: arrivals, the Locust users that serve them, the recorder, the probe.

In: orders for steps. Out: a file of columns per step and a reply. The only room with gevent.
"""

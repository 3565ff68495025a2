"""The one Tornado application, whatever the strategy behind it, and its probes."""

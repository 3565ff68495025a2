"""The load: arrivals, the Locust user that serves them, the recorder."""

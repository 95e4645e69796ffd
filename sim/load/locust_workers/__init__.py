"""Load through Locust: its master, native workers under it, and users for a locustfile of one's own."""

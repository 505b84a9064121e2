"""Adapters of the core's ports on Postgres, and the tables under them."""

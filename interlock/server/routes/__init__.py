"""One file per group of routes; each has a `router`, which `interlock.server.app` includes."""

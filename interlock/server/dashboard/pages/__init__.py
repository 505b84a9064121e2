"""One file per page or group of pages; each has a `router`, which `interlock.server.dashboard.routes` includes."""

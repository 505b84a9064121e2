"""The dashboard: pages that the server renders, kept live by small modules; all of it works without them."""

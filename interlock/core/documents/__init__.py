"""From files to passages: scan what was given, read it, cut it, say where it stands."""

"""Telling people that a question waits, or what became of it: by webhook, Slack, mail, or whatever apprise reaches."""

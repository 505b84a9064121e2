"""The runtime of a server, as the command line uses it: the same methods, each a request.

What goes over the wire is private between a command line and a server of one version: programs use the HTTP API.
"""

"""Agent2Agent: assistants as agents for others, by JSON-RPC."""

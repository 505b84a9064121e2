"""The HTTP server: LangGraph's protocol, our own routes, and the dashboard."""

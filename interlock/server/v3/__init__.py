"""The protocol of thread streams, as the clients of LangGraph's server speak it: made from the log of streams."""

"""A server that answers at once, whatever it is asked for: what asking takes besides is the client's own."""

from __future__ import annotations

from benchmarks.serving.asgi import Message, Receive, Send, answer, body_of, live


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the outcome of three nodes, or with a thread."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    await body_of(receive)
    await answer(
        send, b'{"number":3}' if scope["path"].endswith("/wait") else b'{"thread_id":"one"}'
    )

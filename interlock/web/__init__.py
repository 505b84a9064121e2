"""The way out to the web: read a URL, ask a search tool. Nothing else opens such a connection."""

from interlock.core.corpus import SearchResult
from interlock.web.addresses import is_public
from interlock.web.fetching import Fetcher, fetch
from interlock.web.searching import SearchTool, search_tool

__all__ = ["Fetcher", "SearchResult", "SearchTool", "fetch", "is_public", "search_tool"]

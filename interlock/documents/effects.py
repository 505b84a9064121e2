"""What was done to the world, and what was refused, as documents. Pure functions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from interlock.core.effects import Effect, Refused


def effect_document(found: Effect | Refused) -> dict[str, Any]:  # JSON
    """Return an effect, or a refusal, as one JSON object."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(found).items()
    }

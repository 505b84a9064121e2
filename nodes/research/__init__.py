"""The research team: planner, researchers, supervisor, writer, verifier, critic, publisher."""

from pathlib import Path

from interlock.core import prompts

prompts.register("research", Path(__file__).parent / "prompts")

from nodes.research import offline  # noqa: E402, F401 - its rules stand in where there is no model

"""The research team without a language model: rules that quote, order and check, and invent nothing.

Importing this package registers one rule for each request of `nodes.research.questions`.
"""

import nodes.research.offline.criticism
import nodes.research.offline.planning
import nodes.research.offline.reading
import nodes.research.offline.supervision
import nodes.research.offline.writing  # noqa: F401 - each import registers its rules

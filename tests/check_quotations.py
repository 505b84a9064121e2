"""Check that each quotation of a report stands word for word in the file that it names.

Usage: python tests/check_quotations.py REPORT.md SOURCES_FOLDER
"""

import re
import sys
from pathlib import Path

FORM = re.compile(r"^Source: (`+) ?(.+?) ?\1, .+\n\n(`{3,})text\n((?s:.*?))\n\3$", re.MULTILINE)

report, folder = Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2])
quotations = [(name, " ".join(quote.split())) for _, name, _, quote in FORM.findall(report)]
wrong = [
    (name, quote)
    for name, quote in quotations
    if not (folder / name).is_file()
    or quote not in " ".join((folder / name).read_text(encoding="utf-8").split())
]
for name, quote in wrong:
    print(f"NOT in {name}: {quote}")  # noqa: T201 - its result
print(f"{len(quotations) - len(wrong)} of {len(quotations)} quotations verbatim")  # noqa: T201 - its result
unread = "\nSource: " in FORM.sub("", report)
sys.exit(1 if wrong or unread or not quotations else 0)

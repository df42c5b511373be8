"""The directive `reported`: a part of the report, from ledger, records and chapters."""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tools import report


class Reported(SphinxDirective):
    """`{reported} NAME` is what `tools.report.PARTS[NAME]` tells."""

    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        if name not in report.PARTS:
            raise self.error(f"reported: {name} is none of {', '.join(report.PARTS)}")
        lines = report.PARTS[name](Path(self.env.srcdir))
        box = nodes.Element()
        self.state.nested_parse(
            StringList(lines, source=self.env.docname), self.content_offset, box
        )
        return box.children


def setup(app):
    app.add_directive("reported", Reported)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

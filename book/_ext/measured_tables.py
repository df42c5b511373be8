"""The directive `measured`: a table of the status page, from the file that the tools recorded."""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tools import measured, status


class Measured(SphinxDirective):
    """`{measured} NAME` is the table that `tools.status.PARTS[NAME]` makes of the record."""

    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        if name not in status.PARTS:
            raise self.error(f"measured: {name} is none of {', '.join(status.PARTS)}")
        srcdir = Path(self.env.srcdir)
        record = srcdir / status.FILE
        self.env.note_dependency(str(record))
        lines = status.PARTS[name](measured.read(record), srcdir)
        box = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(record)), self.content_offset, box)
        return box.children


def setup(app):
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

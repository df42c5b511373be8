"""Folded code that stands together is one fold: cells of 15 lines are for who runs them."""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


class JoinFolds(SphinxPostTransform):
    """Put the code of a folded cell that shows nothing into the next folded cell's."""

    default_priority = 190  # before MyST-NB folds them
    formats = ("html",)

    def run(self, **kwargs):
        for cell in list(self.document.findall(nodes.container)):
            following = cell.next_node(descend=False, siblings=True)
            if _is_folded(cell) and len(cell) == 1 and _is_folded(following):
                # the next one may be joined to its own next one in turn
                following[0][:0] = cell[0].children
                cell.parent.remove(cell)


def _is_folded(node):
    """Whether a node is a cell whose code, and nothing else of it, is folded."""
    return (
        isinstance(node, nodes.container)
        and node.get("nb_element") == "cell_code"
        and node.get("hide_mode") == "input"
        and not node["ids"]
        and bool(node.children)
        and node[0].get("nb_element") == "cell_code_source"
    )


def setup(app):
    app.add_post_transform(JoinFolds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The paper's items: a module a part of the paper, named by section (s) or appendix (b, c)."""

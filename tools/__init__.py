"""What stands behind the Makefile: running the notebooks, building the site, auditing its pages."""

"""Looking at a cache that is there: audit, comparison, lint, verification, report."""

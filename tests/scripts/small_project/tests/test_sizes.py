"""The rule sizes: what it reports."""

RULE = "sizes"

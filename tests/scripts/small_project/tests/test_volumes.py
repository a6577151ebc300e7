"""The rule volumes: what it reports."""

RULE = "volumes"

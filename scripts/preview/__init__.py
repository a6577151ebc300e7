"""The preview: what the rules would report of configuration that AWS Config exported."""

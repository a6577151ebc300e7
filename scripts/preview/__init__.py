"""The preview: what the rules would report about configuration that AWS Config exported."""

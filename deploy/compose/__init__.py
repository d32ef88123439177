"""Runs docker-compose.yml: what it needs from this host, and the program that reads it."""

"""The guest supervisor: process 1 of every sandbox. Standard library only."""

"""Adapters to AWS: thin, one service each, no decision of the domain."""

"""Telling what scenes would cost on AWS."""

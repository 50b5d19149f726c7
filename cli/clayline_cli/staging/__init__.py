"""A named scene made ready for the local cloud: its files found on this machine or in S3, looked at, brought together.

Importing any of it loads nothing heavy.
"""

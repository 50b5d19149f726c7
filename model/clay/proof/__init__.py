"""Proof that what the exporter writes is Clay: measured against the published model under torch.

No export needs any of it.
"""

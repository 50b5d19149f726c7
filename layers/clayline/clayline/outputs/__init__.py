"""What comes out: rows, footprints as WKB, provenance, and the vectors' spool on the way there."""

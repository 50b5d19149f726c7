"""Looking, before a deployment, whether it can succeed."""

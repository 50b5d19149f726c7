"""The steps: one use case a Lambda, over ports."""

"""What the domain's tests share."""

from hypothesis import settings

# Cores are shared in CI and here: an example's time says nothing.
settings.register_profile("shared-cores", deadline=None)
settings.load_profile("shared-cores")

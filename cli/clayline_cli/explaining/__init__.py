"""What ``clayline explain`` is made of: its options, the run, what is told of a scene."""

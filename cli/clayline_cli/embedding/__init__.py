"""What ``clayline embed`` is made of: its options, the run, what is told of it meanwhile and at the end."""

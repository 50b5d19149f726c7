"""What commands are told of scenes alike: which, where their files are, how they are read, by which model."""

"""A scene: what landed, which product it is, which files are its bands, when it was taken, its digital numbers."""

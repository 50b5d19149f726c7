"""The picture of an embedded scene: the imagery, and the chips over it in the colours of their vectors."""

"""Identity of a chip: the identifier (UCI), MGRS and UTM, and the footprint that follows from them."""

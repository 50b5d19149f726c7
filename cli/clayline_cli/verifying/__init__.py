"""``clayline verify``: files where they lie, what they are checked by, and what is told of them."""

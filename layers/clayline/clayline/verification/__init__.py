"""Whether files of embeddings, ours and others', hold what they should: checks, without the libraries that read."""

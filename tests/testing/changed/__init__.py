"""Two services of one pair, each in two versions, each version in a module of its own."""

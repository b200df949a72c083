"""Production code under every fault that we can make, with a verdict."""

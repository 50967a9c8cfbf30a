"""One strict façade per platform."""

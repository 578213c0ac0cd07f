"""What computes logits: one interface, numpy in and numpy out."""

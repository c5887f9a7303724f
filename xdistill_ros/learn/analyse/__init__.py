"""What encoders make of a store, side by side: maps of their features, where they look, what they find alike."""

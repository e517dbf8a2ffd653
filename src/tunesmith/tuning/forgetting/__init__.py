"""What a tuned model lost of what its base model could do: general items, bits per byte of texts, tasks of others."""

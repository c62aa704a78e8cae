"""Networks and losses: tensors in, tensors out; nothing here reads a file or knows of the pipeline."""

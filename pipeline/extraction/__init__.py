"""A recipe run over a data set: decoded in processes, batched, resumable, on one machine or a Ray cluster."""

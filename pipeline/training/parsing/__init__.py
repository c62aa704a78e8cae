"""What training of parsing alone has: its labels, its data set, its terms, and what its answers mean."""

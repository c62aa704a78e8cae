"""What training of localization alone has: its labels, its data set, its terms, and what its answers mean."""

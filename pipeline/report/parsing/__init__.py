"""What the page of parsing alone has: lanes of what is heard and seen, the probabilities that open and close them."""

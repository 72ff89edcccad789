"""What databases cost: prices with their sources, and estimates that are pure arithmetic over them."""

"""A trained bundle made smaller: distilled from, halved, pruned, stored sparse. Bundle in, bundle out."""

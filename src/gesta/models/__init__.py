"""The networks, and the layers they share."""

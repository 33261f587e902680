"""Classification of single images in CIFAR layout."""

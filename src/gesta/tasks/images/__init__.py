"""Classification of single images in CIFAR's layout."""

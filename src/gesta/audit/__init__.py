"""What is in a data folder and what is wrong with it: opens the files, counts, compares."""

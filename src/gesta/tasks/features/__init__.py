"""Classification of videos by the stored features of a frozen backbone."""

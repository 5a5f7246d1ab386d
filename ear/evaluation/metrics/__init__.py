"""What is measured of images and answers."""

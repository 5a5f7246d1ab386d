# Figures of the axes. One rule a figure; those of axes that the config does not ask for are not made.

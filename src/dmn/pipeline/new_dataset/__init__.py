"""A folder of images made a data set: `dmn new-dataset`."""

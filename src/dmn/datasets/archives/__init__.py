"""Archives of images, read in place: their forms, the names inside them, and their pictures."""

from dmn.datasets.archives.decoding import IMAGE_SUFFIXES, decode
from dmn.datasets.archives.limits import Limits
from dmn.datasets.archives.reading import ImageArchive

__all__ = ["IMAGE_SUFFIXES", "ImageArchive", "Limits", "decode"]

"""The method of the paper, noun by noun: pure tensors in and out, no files (docs/method.md)."""

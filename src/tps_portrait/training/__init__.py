"""Few-shot training: data, augmentation, losses, one step, checkpoints, tracking.

`examples/train.py` is the loop; everything here is a piece of it that can be tested without one.
"""

"""Everything that can be ranked against one ground truth, side by side: runs, files, published scores, closed forms."""

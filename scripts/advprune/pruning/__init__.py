"""What methods share: masks, learned scores, ADMM, drop-and-grow, rates, saliency."""

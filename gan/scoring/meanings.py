"""The meaning of each score, in one sentence for the reader of a page."""

from gan.scoring.records import family

MEANINGS = {
    'fid': 'Frechet distance of Inception features: how far mean and covariance are from those of the data.',
    'kid': 'Kernel distance of Inception features, unbiased for any number of samples; 0 for samples like the data.',
    'is': 'Inception score: large if every sample is of a clear class and all classes occur.',
    'fd': 'Frechet distance of features: how far mean and covariance are from those of the data.',
    'kd': 'Kernel distance of features, unbiased for any number of samples; 0 for samples like the data.',
    'cs': 'Classifier score: large if every sample is of a clear class and all classes occur.',
    'fid_infinity': 'FID extrapolated to infinitely many samples, which removes its bias.',
    'fd_infinity': 'Frechet distance extrapolated to infinitely many samples, which removes its bias.',
    'precision': 'Share of samples that lie among the data: quality.',
    'recall': 'Share of the data that lie among the samples: variety.',
    'density': 'How densely the data surround the samples; 1 for samples distributed like the data.',
    'coverage': 'Share of the data with a sample in their neighbourhood: variety, robust to outliers.',
    'copying': 'How often a sample is nearer to the training data than held-out data are: 1/2 is fair, 1 means copies.',
    'modes': 'Modes, or classes, that at least one sample hits; missing modes mean mode collapse.',
    'classes': 'Classes whose share of the samples is at least a tenth of their share in the data.',
    'class_accuracy': 'Share of samples that the classifier puts into the class that they were made of.',
    'code_agreement': 'Share of samples whose categorical code and class agree, under the best one-to-one matching.',
    'reverse_kl': 'KL divergence of the shares of modes or classes from the true shares, in nats; 0 is right.',
    'total_variation': 'Share of samples that would have to move to another mode or class; 0 if the shares are right.',
    'ms_ssim': 'Structural similarity of pairs of samples: high if samples resemble each other.',
    'diversity': 'Mean distance between samples over mean distance between data: far below 1 is mode collapse.',
    'high_quality_reverse_kl': 'As reverse_kl, but only for samples within 3 sigma of a mode, as in PacGAN.',
    'high_quality': 'Share of samples within 3 sigma of a mode.',
    'covariance_ratio': 'Variance of the samples around their mode, over that of the mode; 1 is right.',
    'sliced_wasserstein': 'Wasserstein-1 distance to the true distribution, averaged over directions; 0 is perfect.',
    'scale': 'Distance (rms) of the samples from the centre of the modes, over that of the data; 1 is right.',
    'w1': 'Wasserstein-1 distance to the true distribution; 0 is perfect.',
}


def meaning(metric: str) -> str:
  """Return the sentence for a score, with or without features in its name; '' for an unknown score."""
  return MEANINGS.get(family(metric), '')

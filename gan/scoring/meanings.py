"""What each score says, in a sentence for a reader of a page."""

from gan.scoring.records import family

MEANINGS = {
    'fid': 'Frechet distance of Inception features: how far mean and covariance are from those of the data.',
    'kid': 'Kernel distance of Inception features, without bias for few samples; 0 for samples like the data.',
    'is': 'Inception score: large if every sample is of a clear class and all classes occur.',
    'fd': 'Frechet distance of features: how far mean and covariance are from those of the data.',
    'kd': 'Kernel distance of features, without bias for few samples; 0 for samples like the data.',
    'cs': 'Classifier score: large if every sample is of a clear class and all classes occur.',
    'fid_infinity': 'FID extrapolated to infinitely many samples, which takes its bias away.',
    'fd_infinity': 'Frechet distance extrapolated to infinitely many samples, which takes its bias away.',
    'precision': 'Share of samples that lie among the data: quality.',
    'recall': 'Share of the data that lie among the samples: variety.',
    'density': 'How densely the data surround the samples; 1 where samples are as the data are.',
    'coverage': 'Share of the data with a sample in their neighbourhood: variety, less moved by outliers.',
    'copying': 'How often a sample is nearer to the training data than held-out data are: 1/2 is fair, 1 is a copy.',
    'modes': 'Modes, or classes, that at least one sample hits; fewer than there are is mode collapse.',
    'classes': 'Classes that occur with a tenth of their share at least.',
    'reverse_kl': 'KL divergence of the shares of modes or classes from the true ones, in nats; 0 if they are right.',
    'total_variation': 'Share of samples that would have to move to another mode or class; 0 if the shares are right.',
    'ms_ssim': 'Structural similarity of pairs of samples: high where they resemble each other.',
    'diversity': 'Mean distance between samples over that between data: far below 1 is mode collapse.',
    'high_quality_reverse_kl': 'As reverse_kl, but of the samples within 3 sigma of a mode alone: as PacGAN counts.',
    'high_quality': 'Share of samples within 3 sigma of a mode.',
    'covariance_ratio': "Spread of the samples around their mode over that of the mode; 1 is right.",
    'sliced_wasserstein': 'Mean distance that mass moves to become the truth, averaged over directions; 0 is perfect.',
    'scale': 'Distance (rms) of the samples from the centre of the modes over that of the data; 1 is right.',
    'w1': 'Mean distance that mass moves to become the truth; 0 is perfect.',
}


def meaning(metric: str) -> str:
  """The sentence for a score, whatever features its name carries; '' for one that is not known."""
  return MEANINGS.get(family(metric), '')

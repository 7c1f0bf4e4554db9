"""Losses: pure functions, and Keras layers that hold memory banks."""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {
    "agreement": ["nearest"],
    "avid": ["AVID"],
    "avsa": ["alignment_loss", "choices", "similarities"],
    "bank_objective": ["BankObjective"],
    "cma": ["CMA"],
    "memory_bank": ["MemoryBank"],
    "nce": ["info_nce_loss", "nce_loss"],
    "robust_xid": ["RobustXID", "sample_weights", "soft_targets"],
    "stft": ["stft_loss"],
  },
)

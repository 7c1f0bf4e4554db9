"""Data: sources of clips, media decoding, records, synthetic worlds and the input pipeline."""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {
    "media.clip_reading": ["read_clip"],
    "media.media_limits": ["MediaError"],
    "media.media_probe": ["probe"],
    "media.sound_file": ["read_sound"],
    "pipeline.clip_spec": ["Augmentation", "ClipSpec"],
    "pipeline.datasets": ["evaluation_dataset", "training_dataset"],
    "pipeline.viewpoints": ["ViewpointSpec"],
    "records.dataset_info": ["DatasetInfo"],
    "records.record_reader": ["RecordReader", "StoredClip"],
  },
)

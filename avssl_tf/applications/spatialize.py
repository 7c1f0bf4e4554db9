"""Generates spatial audio for a 360° video with mono or stereo audio.

A trained network generates a first-order sound field from the frames and the audio. First the whole
field is generated and stored in an anonymous temporary file. Then the outputs are written, because
each of them depends on the peak of the whole field to avoid clipping.
"""

import os

from avssl_tf import progress
from avssl_tf.applications import output_files
from avssl_tf.applications.field_file import FieldFile
from avssl_tf.applications.field_generation import FieldGeneration
from avssl_tf.applications.field_job import Job
from avssl_tf.applications.field_writing import Video, write_mp4, write_overlay, write_wav_file
from avssl_tf.applications.input_files import media_errors_named
from avssl_tf.data.media import (
  picture_stream,
  sound_stream,
)
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.inference.generator import Generator


def run(generator: Generator, job: Job) -> list[str]:
  """Generates the sound field of a video and writes the outputs.

  Args:
    generator: the network.
    job: the job; its `check` has passed.

  Returns:
    A description of the outputs and remarks, as lines for the user.

  Raises:
    UserError: the input cannot be read to its end, or an output cannot be written.
  """
  stopwatch = progress.Stopwatch()
  folder = os.path.dirname(os.path.abspath(job.paths[0]))
  with output_files.all_or_none(job.paths) as temporary, FieldFile(
    folder, generator.sample_rate_hz
  ) as field:
    with media_errors_named(job.input):
      video = _generate(generator, job, field)
      lines = [*video.notes]
      for path in job.paths:
        with output_files.errors_named(path):
          if path == job.overlay:
            lines.append(write_overlay(job, video, field, path, temporary[path]))
          elif path.lower().endswith(".wav"):
            lines.append(write_wav_file(field, path, temporary[path]))
          else:
            lines.append(write_mp4(job, video, field, path, temporary[path]))
  seconds = stopwatch.seconds
  speed = field.duration_sec / seconds
  lines.append(f"{field.duration_sec:.1f} s in {seconds:.1f} s: {speed:.1f} times real time.")
  return lines


def _generate(generator: Generator, job: Job, field: FieldFile) -> Video:
  """Generates the field of the whole input and appends it to `field`."""
  clip = generator.clip
  with job.open_sound(generator.sample_rate_hz) as sound, job.open_pictures() as pictures:
    grid = picture_stream.PictureGrid(
      pictures.frames(),
      lambda frame: pictures.to_equirect(frame, clip.frame_size),
      # Frames are sampled at the middle of equal time intervals of the audio.
      sound.start_sec + 0.5 / clip.frame_rate_hz,
      clip.frame_rate_hz,
    )
    generation = FieldGeneration(generator, job.chunks_per_batch)
    end_sec = sound.estimated_end_sec
    with progress.Bar.of_seconds("sound field", end_sec and end_sec - sound.start_sec) as bar:
      for block in generation.field(sound.blocks(), grid):
        with output_files.errors_named(f"A temporary file next to {job.paths[0]}"):
          field.append(block)
        bar.reach(field.duration_sec)
    if not field.num_samples:
      raise MediaError("truncated or damaged: its audio has no samples")
    origin_sec = min(sound.start_sec, pictures.start_sec)
    return Video(origin_sec, sound.start_sec - origin_sec, _notes(sound, pictures))


def _notes(
  sound: sound_stream.MonoStream, pictures: picture_stream.PictureStream
) -> list[str]:
  notes = [f"Source of W: {sound.made_from}.", *(f"Note: {n}." for n in pictures.view.notes)]
  if sound.num_damaged:
    notes.append(f"Damaged: {sound.num_damaged} part(s) of the audio, replaced by silence.")
  if sound.gap_sec:
    notes.append(f"Gaps in the audio: {sound.gap_sec:.2f} s in total, filled with silence.")
  if pictures.num_damaged:
    notes.append(
      f"Damaged: {pictures.num_damaged} frame(s), each replaced by the previous frame."
    )
  if sound.shortfall_sec():
    notes.append(
      f"Truncated: the audio ends {sound.shortfall_sec():.1f} s before the end that the file "
      "states; the output ends there."
    )

  return notes



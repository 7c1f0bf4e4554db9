"""Demo data sets: records of the synthetic worlds, built when they are first needed."""

import dataclasses
import os
from typing import Optional

import gin

from avssl_tf.data.building.build import build
from avssl_tf.data.building.plan import Cutting
from avssl_tf.data.building.readers import WorldReader
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.building.work_folder import BuildError
from avssl_tf.data.records import dataset_info
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.data.sources.world_clips import clips_of_world
from avssl_tf.data.synthetic.world import World
from avssl_tf.files import as_json
from avssl_tf.spectrograms import Spectrogram


def recipe(
  world: World,
  spectrogram: Optional[Spectrogram] = None,
  num_shards: int = 16,
  flow: bool = False,
) -> Recipe:
  """Recipe of the data set of a synthetic world, which determines rates and sizes.

  Args:
    world: the world.
    spectrogram: spectrogram whose statistics are measured on the training split; `None` disables
      this.
    num_shards: number of record files per split.
    flow: for a 360° world, whether to compute the optical flow of the frames.

  Raises:
    UserError: `flow` is set, but the world is not 360°.
  """
  listing = clips_of_world(world)
  return Recipe(
    name=world.name,
    requests=listing.requests,
    label_names=listing.label_names,
    reader=WorldReader(world),
    cutting=Cutting(world.clip_duration_sec, world.clip_duration_sec),
    # Tiny frames with thin coloured shapes need full colour resolution; file size does not matter.
    jpeg=JpegSettings(quality=95, max_bytes_per_sec=None, chroma="4:4:4"),
    num_shards=num_shards,
    spectrogram=spectrogram,
    origin={"source": "demo" if world.projection is None else "demo360"},
    flow=flow,
  )


@gin.register
@dataclasses.dataclass(frozen=True)
class DemoData(os.PathLike):
  """Folder of a demo data set, for `data_dir`; other folders are given as plain paths.

  Attributes:
    folder: folder of the records, built if missing.
    world: the synthetic world.
    spectrogram: spectrogram whose statistics are measured on the training split during the build.
    flow: for a 360° world, whether the records must contain the optical flow of the frames.
  """

  world: World
  spectrogram: Spectrogram
  folder: str = "data/demo"
  flow: bool = False

  def __fspath__(self) -> str:
    return self.folder

  def __str__(self) -> str:
    return self.folder

  def build_if_missing(self, num_workers: Optional[int] = None) -> None:
    """Builds the data set if it is missing or incomplete, and prints a note.

    Args:
      num_workers: number of processes; by default one per core.

    Raises:
      BuildError: the folder contains another world, lacks required flow, or contains something
        else.
      UserError: flow is set, but the world is not 360°.
      WorkerError: worker processes cannot run.
    """
    path = os.path.join(self.folder, dataset_info.FILE_NAME)
    if os.path.exists(path):
      self._check()
      return
    print(f"There is no demo data in {self.folder} yet: building it.", flush=True)
    fits = self.spectrogram.sample_rate_hz == self.world.sample_rate_hz
    build(
      recipe(self.world, self.spectrogram if fits else None, flow=self.flow),
      self.folder,
      os.cpu_count() if num_workers is None else num_workers,
    )

  def _check(self) -> None:
    wanted = as_json(dataclasses.asdict(self.world))
    info = dataset_info.DatasetInfo.load(self.folder)
    found = info.build.get("reader", {}).get("world")
    if found != wanted:
      raise BuildError(
        f"The demo data in {self.folder} is of the world {found}, but the configuration is "
        f"{wanted}. Choose another folder (DemoData.folder), or delete this one."
      )
    if self.flow and not info.flow:
      raise BuildError(
        f"The demo data in {self.folder} has no optical flow, which DemoData.flow requires. Choose "
        "another folder (DemoData.folder), or delete this one."
      )

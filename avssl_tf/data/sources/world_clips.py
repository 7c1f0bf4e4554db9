"""A synthetic world as a source: clips that are rendered rather than read."""

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import Listing
from avssl_tf.data.synthetic.world import World


def clips_of_world(world: World) -> Listing:
  """Lists the clips of a world.

  Returns:
    A request for each clip, the training split first, and the names of the classes. A path
    ends in the number of the clip in its split; the class is known once it is rendered.
  """
  requests = []
  for split in ("train", "test"):
    for index in range(world.num_clips(split)):
      path = f"{world.name}/{split}/{index:05d}"
      requests.append(ClipRequest(split, path, 0.0, world.clip_duration_sec, (), path))
  return Listing(requests, world.label_names)

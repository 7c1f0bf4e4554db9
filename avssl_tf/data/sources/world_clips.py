"""A synthetic world as a source: its clips are rendered instead of read."""

from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import Listing
from avssl_tf.data.synthetic.world import World


def clips_of_world(world: World) -> Listing:
  """Lists the clips of a world.

  Returns:
    One request per clip, the training split first, and the class names. A path ends with the index
    of the clip in its split. The class of a clip is known only after rendering.
  """
  requests = []
  for split in ("train", "test"):
    for index in range(world.num_clips(split)):
      path = f"{world.name}/{split}/{index:05d}"
      requests.append(ClipRequest(split, path, 0.0, world.clip_duration_sec, (), path))
  return Listing(requests, world.label_names)

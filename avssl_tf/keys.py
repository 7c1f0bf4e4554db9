"""Type aliases and the keys of a batch.

A batch is a plain dict. Every producer (`avssl_tf.data`) and every consumer
(`avssl_tf.tasks`, `avssl_tf.evaluation`, `avssl_tf.export`) spells its keys
with the constants below.

| key | dtype, shape | meaning |
|---|---|---|
| `VIDEO` | uint8 `[B, T, H, W, 3]` | RGB frames |
| `AUDIO` | float32 `[B, samples, channels]` | waveform in -1..1 |
| `INDEX` | int64 `[B]` | row of the video in the memory banks, dense in 0..N-1 |
| `LABEL` | int64 `[B]` | class, -1 where unknown |
| `KEY` | string `[B]` | id of the example, for reports |

If they are asked for, there are also

| key | dtype, shape | meaning |
|---|---|---|
| `LABELS` | bool `[B, C]` | which of the classes a clip has, of data with several a clip |

In evaluation there are also, if they are asked for,

| key | dtype, shape | meaning |
|---|---|---|
| `BOXES` | float32 `[B, T, 4]` | ymin, xmin, ymax, xmax in 0..1 of what sounds in each frame |

Of 360° clips, K viewpoints come in place of the whole: `VIDEO` and `AUDIO` have an axis of K after
the first, and there are also

| key | dtype, shape | meaning |
|---|---|---|
| `DIRECTION` | float32 `[B, K, 2]` | azimuth and elevation of the viewing directions, radians |
| `FIELD_OF_VIEW` | float32 `[B, K, 2]` | horizontal and vertical fields of view, radians |
| `VIEW_LABEL` | int64 `[B, K]` | class of the object nearest to a view's centre; -1: none |
| `MASK` | int64 `[B, K, H, W]` | if asked for: classes of the middle frame's pixels; -1: unknown |

Of whole 360° clips, panoramas, `VIDEO` is `[B, T, H, 2H, 3]`, and there are also

| key | dtype, shape | meaning |
|---|---|---|
| `FLOW` | uint8 `[B, T, H, 2H, 3]` | if asked for: pictures of the optical flow of the frames |
| `SOURCES` | float32 `[B, S, 8, 3]` | in evaluation: directions of what sounds, 0 for none |
| `CHANNELS` | bool `[B, channels]` | channels of the sound field that a clip has |
"""


import tensorflow as tf

Tensor = tf.Tensor
Batch = dict[str, tf.Tensor]

VIDEO = "video"
AUDIO = "audio"
INDEX = "index"
LABEL = "label"
LABELS = "labels"
KEY = "key"
BOXES = "boxes"
DIRECTION = "direction"
FIELD_OF_VIEW = "field_of_view"
VIEW_LABEL = "view_label"
MASK = "mask"
FLOW = "flow"
SOURCES = "sources"
CHANNELS = "channels"

MODALITIES = (VIDEO, AUDIO)

"""Type aliases and the keys of a batch.

A batch is a dict of tensors. Producers (`avssl_tf.data`) and consumers (`avssl_tf.tasks`,
`avssl_tf.evaluation`, `avssl_tf.export`) use the constants below as its keys.

| key | dtype, shape | meaning |
|---|---|---|
| `VIDEO` | uint8 `[B, T, H, W, 3]` | RGB frames |
| `AUDIO` | float32 `[B, samples, channels]` | waveform in -1..1 |
| `INDEX` | int64 `[B]` | row of the video in the memory banks, dense in 0..N-1 |
| `LABEL` | int64 `[B]` | class; -1: unknown |
| `KEY` | string `[B]` | id of the example, for reports |

Optional, for multi-label data:

| key | dtype, shape | meaning |
|---|---|---|
| `LABELS` | bool `[B, C]` | whether a clip has each of the C classes |

Optional, in evaluation:

| key | dtype, shape | meaning |
|---|---|---|
| `BOXES` | float32 `[B, T, 4]` | ymin, xmin, ymax, xmax in 0..1 of the sound source per frame |

360° clips as K views: `VIDEO` and `AUDIO` have an additional second axis of size K. Additional
keys:

| key | dtype, shape | meaning |
|---|---|---|
| `DIRECTION` | float32 `[B, K, 2]` | azimuth and elevation of the viewing directions, radians |
| `FIELD_OF_VIEW` | float32 `[B, K, 2]` | horizontal and vertical fields of view, radians |
| `VIEW_LABEL` | int64 `[B, K]` | class of the object nearest to the centre of a view; -1: none |
| `MASK` | int64 `[B, K, H, W]` | optional: class of each pixel of the middle frame; -1: unknown |

360° clips as panoramas: `VIDEO` is uint8 `[B, T, H, 2H, 3]`. Additional keys:

| key | dtype, shape | meaning |
|---|---|---|
| `FLOW` | uint8 `[B, T, H, 2H, 3]` | optional: optical-flow images of the frames |
| `SOURCES` | float32 `[B, S, 8, 3]` | in evaluation: directions of the sound sources; 0: none |
| `CHANNELS` | bool `[B, channels]` | whether a clip has each channel of the sound field |
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

"""The channels of a sound field according to the metadata of a file."""

import dataclasses
import struct
from typing import Optional

SN3D, N3D, FUMA = "SN3D", "N3D", "FuMa"
# Layout tags and labels of CoreAudio.
_TAG_B_FORMAT, _TAG_SN3D, _TAG_N3D = 107, 190, 191
_LABELS_B_FORMAT = {200: "W", 201: "X", 202: "Y", 203: "Z"}
_LABELS_SN3D, _LABELS_N3D = 2, 3
ADM_WEIGHTS = (SN3D, N3D, FUMA)
# ACN index of each FuMa letter.
LETTERS = {letter: number for number, letter in enumerate("WYZXVTRSUQOMKLNP")}
# Letters of FuMa files by number of channels; files with 3, 5 or 7 channels have no height.
_FUMA = {
  3: "WXY", 4: "WXYZ", 5: "WXYUV", 6: "WXYZUV", 7: "WXYUVPQ", 8: "WXYZUVPQ", 9: "WXYZRSTUV",
  11: "WXYZRSTUVPQ", 16: "WXYZRSTUVKLMNOPQ",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Field:
  """Description of the channels of an audio track.

  Attributes:
    where: source of the description, for messages, such as "its SA3D box".
    components: ACN index of each channel; None for a channel that is not part of the field.
    weights: `SN3D`, `N3D` or `FUMA`.
    problem: reason why the field cannot be read. `components` and `weights` are then invalid.
  """

  where: str
  components: tuple[Optional[int], ...] = ()
  weights: str = SN3D
  problem: Optional[str] = None

  @property
  def is_plain(self) -> bool:
    """Whether the first order is W Y Z X with SN3D weights."""
    return self.weights == SN3D and self.components[:4] == (0, 1, 2, 3)


def of_fuma(where: str, channels: int) -> Field:
  """The field of a FuMa file with the given number of channels."""
  letters = _FUMA.get(channels)
  if letters is None:
    expected = ", ".join(map(str, _FUMA))
    return Field(where, problem=f"{channels} channel(s); FuMa has one of {expected}")
  return Field(where, of_letters(letters), FUMA)


def of_letters(letters: str) -> tuple[int, ...]:
  """ACN indices of FuMa letters, one per channel."""
  return tuple(LETTERS[letter] for letter in letters)


def checked(field: Field) -> Field:
  """Returns the field, with a problem if two channels have the same component."""
  named = [component for component in field.components if component is not None]
  if len(set(named)) < len(named):
    return dataclasses.replace(field, problem="the same component for two channels")
  return field


def of_chan(fields: bytes) -> Optional[Field]:
  """The field that a CoreAudio channel layout describes; None if it describes none."""
  where = "its channel layout (chan)"
  if len(fields) < 12:
    return None
  tag, _, count = struct.unpack_from(">3I", fields)
  kind, channels = tag >> 16, tag & 0xFFFF
  if kind == _TAG_B_FORMAT:
    return Field(where, of_letters("WXYZ"), FUMA)
  if kind in (_TAG_SN3D, _TAG_N3D):
    return Field(where, tuple(range(channels)), SN3D if kind == _TAG_SN3D else N3D)
  if tag != 0 or count > 1000 or len(fields) < 12 + 20 * count:
    return None
  labels = [struct.unpack_from(">I", fields, 12 + 20 * i)[0] for i in range(count)]
  for weights, components in (
    (FUMA, [LETTERS.get(_LABELS_B_FORMAT.get(label, "")) for label in labels]),
    (SN3D, [n & 0xFFFF if n >> 16 == _LABELS_SN3D else None for n in labels]),
    (N3D, [n & 0xFFFF if n >> 16 == _LABELS_N3D else None for n in labels]),
  ):
    if any(component is not None for component in components):
      return checked(Field(where, tuple(components), weights))
  return None

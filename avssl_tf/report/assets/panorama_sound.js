// Binaural playback of sound fields, W Y Z X (SN3D), over virtual loudspeakers with Web Audio.

const OUTPUT_GAIN = 0.5; // Headroom: HRTFs amplify sources at the side of the nearer ear.

// In Web Audio, x points to the right, y up and z to the back.
const toWebAudio = ([x, y, z]) => [-y, z, -x];

/** Turns the listener's head; sound sources keep their directions in the world. */
function turnListener(listener, [front, , up]) {
  // Deprecated in favour of parameters, which not all browsers support.
  listener.setOrientation(...toWebAudio(front), ...toWebAudio(up));
}

/** Decodes a field, W Y Z X, to loudspeakers around the head; returns the input node. */
function connectLoudspeakers(context, { loudspeakers, decoder }) {
  const splitter = context.createChannelSplitter(4);
  const output = new GainNode(context, { gain: OUTPUT_GAIN });
  output.connect(context.destination);
  loudspeakers.forEach((direction, i) => {
    const [positionX, positionY, positionZ] = toWebAudio(direction);
    const place = { positionX, positionY, positionZ, rolloffFactor: 0, panningModel: "HRTF" };
    const loudspeaker = new PannerNode(context, place);
    loudspeaker.connect(output);
    decoder[i].forEach((gain, channel) => {
      const share = new GainNode(context, { gain });
      splitter.connect(share, channel).connect(loudspeaker);
    });
  });
  return splitter;
}

/** The fields of a clip by name, each an AudioBuffer with 4 channels. */
async function decodeFields(context, clip) {
  const decode = async (uri) => {
    const response = await fetch(uri);
    return context.decodeAudioData(await response.arrayBuffer());
  };
  const channels = await Promise.all(clip.channels.map(decode));
  const length = channels[0]?.length ?? Math.ceil(clip.durationSec * context.sampleRate);
  const fields = {};
  for (const [name, numbers] of Object.entries(clip.fields)) {
    fields[name] = context.createBuffer(4, length, context.sampleRate);
    numbers.forEach((number, c) => {
      if (number !== null) fields[name].copyToChannel(channels[number].getChannelData(0), c);
    });
  }
  return fields;
}

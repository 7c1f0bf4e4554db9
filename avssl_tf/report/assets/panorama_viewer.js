// The 360° viewer of a page: the element <panorama-viewer>, see report/panorama_viewer.py.
//
// Its attributes reflect its state: data-state (loading, paused, playing, failed),
// data-yaw-deg, data-pitch-deg, data-zoom-deg, data-time-sec, data-frame and data-field.

const ZOOM_DEG = { least: 30, start: 100, most: 120 }; // Horizontal field of view.
const KEY_TURN_DEG = 10;
const ENERGY_OPACITY = 0.6;
const FADE_SEC = 0.01; // Cross-fade between fields, to avoid clicks.
const LEAD_SEC = 0.02; // Delay of the start, so that all fields start at the same sample.
const KEYS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

class PanoramaViewer extends HTMLElement {
  static sound = { turnListener, connectLoudspeakers, decodeFields, axesOf };

  connectedCallback() {
    this.data = JSON.parse(this.querySelector("script").textContent);
    this.canvas = this.querySelector("canvas");
    this.controls = this.querySelector("form").elements;
    [this.yawDeg, this.pitchDeg, this.zoomDeg, this.position] = [0, 0, ZOOM_DEG.start, 0];
    [this.sources, this.gains] = [[], {}]; // Audio nodes of the fields during playback.
    this.tried(async () => {
      this.picture = new Picture(this.canvas);
      this.listen();
      await this.open(0);
    });
  }

  /** Runs an action; if it fails, the viewer displays the error. */
  async tried(action) {
    try {
      await action();
    } catch (error) {
      this.stop();
      this.dataset.state = "failed";
      const message = this.querySelector(".viewer-message");
      [message.textContent, message.hidden] = [error.message, false];
      for (const control of this.controls) control.disabled = true;
      console.error(error);
    }
  }

  listen() {
    const { play, time, field, energy, loop, clip } = this.controls;
    const on = (target, kind, action) => target.addEventListener(kind, action);
    on(play, "click", () => (this.dataset.state === "playing" ? this.pause() : this.play()));
    on(time, "input", () => this.seek(Number(time.value)));
    on(energy, "change", () => this.redraw());
    on(loop, "change", () => this.sources.forEach((source) => (source.loop = loop.checked)));
    for (const choice of field.length ? field : [field]) on(choice, "change", () => this.hear());
    if (clip) on(clip, "change", () => this.tried(() => this.open(clip.selectedIndex)));
    const { canvas } = this;
    on(canvas, "pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    on(canvas, "pointermove", (event) => {
      if (!event.buttons) return; // The view follows the pointer while a button is pressed.
      const scale = this.zoomDeg / canvas.clientWidth;
      this.look(this.yawDeg + event.movementX * scale, this.pitchDeg + event.movementY * scale);
    });
    on(canvas, "keydown", (event) => {
      const step = KEYS[event.key];
      if (!step) return;
      event.preventDefault();
      const [left, up] = step.map((share) => share * KEY_TURN_DEG);
      this.look(this.yawDeg + left, this.pitchDeg + up);
    });
    on(canvas, "wheel", (event) => {
      if (document.activeElement !== canvas) return; // Without focus, the page scrolls.
      event.preventDefault();
      const wanted = this.zoomDeg * Math.exp(event.deltaY / 1000);
      this.zoomDeg = clamp(wanted, ZOOM_DEG.least, ZOOM_DEG.most);
      this.redraw();
    });
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  async open(number) {
    this.stop();
    this.dataset.state = "loading";
    // A new object per call: pending work compares it to detect that another clip was selected.
    const clip = { ...this.data.clips[number] };
    this.chosen = clip;
    const image = new Image();
    image.src = clip.frames;
    await image.decode();
    if (clip !== this.chosen) return;
    this.picture.load(image, clip.numFrames);
    [this.clip, this.position] = [clip, 0];
    this.controls.time.max = clip.durationSec;
    this.dataset.state = "paused";
    this.redraw();
  }

  /** Turns the view together with the listener's head. */
  look(yawDeg, pitchDeg) {
    this.yawDeg = yawDeg - 360 * Math.round(yawDeg / 360);
    this.pitchDeg = clamp(pitchDeg, -90, 90);
    if (this.context) turnListener(this.context.listener, axesOf(this.yawDeg, this.pitchDeg));
    this.redraw();
  }

  play() {
    if (this.dataset.state !== "paused") return;
    this.dataset.state = "loading";
    const { clip } = this;
    this.tried(async () => {
      this.context ??= new AudioContext(); // Browsers require a user gesture first.
      this.output ??= connectLoudspeakers(this.context, this.data);
      this.look(this.yawDeg, this.pitchDeg); // Turns the head to the current view.
      await this.context.resume();
      clip.sound ??= await decodeFields(this.context, clip);
      if (clip === this.chosen) this.start();
    });
  }

  /** Starts all fields simultaneously; only the selected one is audible. */
  start() {
    const { context, clip } = this;
    const loop = this.controls.loop.checked;
    this.startSec = context.currentTime + LEAD_SEC;
    this.sources = Object.entries(clip.sound).map(([name, buffer]) => {
      const source = new AudioBufferSourceNode(context, { buffer, loop });
      this.gains[name] = new GainNode(context, { gain: Number(name === this.field) });
      source.connect(this.gains[name]).connect(this.output);
      source.start(this.startSec, this.position);
      return source;
    });
    this.sources[0].onended = () => {
      this.pause();
      this.seek(0);
    };
    this.dataset.state = "playing";
    this.redraw();
  }

  /** Stops the playback and keeps the position. */
  stop() {
    this.position = this.time;
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
    }
    this.sources = [];
  }

  pause() {
    this.stop();
    this.dataset.state = "paused";
    this.redraw();
  }

  seek(timeSec) {
    const playing = this.sources.length > 0;
    this.stop();
    this.position = timeSec % this.clip.durationSec;
    if (playing) this.start();
    this.redraw();
  }

  /** Fades to the selected field. */
  hear() {
    for (const [name, { gain }] of Object.entries(this.gains)) {
      gain.setTargetAtTime(Number(name === this.field), this.context.currentTime, FADE_SEC);
    }
    this.redraw();
  }

  get field() {
    return this.controls.field.value;
  }

  get time() {
    if (!this.sources.length) return this.position;
    const playedSec = Math.max(0, this.context.currentTime - this.startSec);
    return (this.position + playedSec) % this.clip.durationSec;
  }

  redraw() {
    this.request ??= requestAnimationFrame(() => {
      this.request = undefined;
      if (this.picture.textures.length) this.draw();
      if (this.sources.length) this.redraw();
    });
  }

  draw() {
    const { clip, controls, field, time, yawDeg, pitchDeg, zoomDeg } = this;
    const frame = Math.min(clip.numFrames - 1, Math.floor(time * clip.frameRateHz));
    const axes = axesOf(yawDeg, pitchDeg);
    const opacity = controls.energy.checked ? ENERGY_OPACITY : 0;
    this.picture.draw(frame, axes, zoomDeg, clip.energies[field][frame], opacity);
    controls.time.value = time;
    controls.clock.value = `${time.toFixed(1)} / ${clip.durationSec.toFixed(1)} s`;
    controls.play.ariaLabel = this.sources.length ? "Pause" : "Play";
    const [x, y] = [Math.sin(radians(zoomDeg / 2)), -Math.cos(radians(zoomDeg / 2))];
    const sector = this.querySelector(".viewer-compass path");
    sector.setAttribute("d", `M0 0L${-x} ${y}A1 1 0 0 1 ${x} ${y}Z`);
    sector.setAttribute("transform", `rotate(${-yawDeg})`); // Top view: left is left.
    Object.assign(this.dataset, { yawDeg, pitchDeg, zoomDeg, timeSec: time, frame, field });
  }
}

customElements.define("panorama-viewer", PanoramaViewer);

// Draws a perspective view of equirectangular frames with WebGL.
//
// Coordinates: x points to the front, y to the left, z up. Positive yaw turns left, positive pitch
// turns up; yaw is applied first.

const VERTEX_SHADER = `#version 300 es
out vec2 place;
void main() {  // A triangle that covers the canvas; place is -1..1, to the right and up.
  place = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  gl_Position = vec4(place, 0.0, 1.0);
}`;

const FRAGMENT_SHADER = `#version 300 es
precision highp float;
uniform sampler2D frame;  // Left edge: azimuth pi; upper edge: elevation pi / 2.
uniform mat3 view;        // Its columns: front, left and up of the view.
uniform vec2 extent;      // Tangents of half the field of view.
uniform mat4 energy;
uniform float opacity;
in vec2 place;
out vec4 colour;
const float PI = 3.14159265;
const float LINES = 8.0;
void main() {
  vec3 ray = normalize(view * vec3(1.0, -place.x * extent.x, place.y * extent.y));
  float azimuth = atan(ray.y, ray.x), elevation = asin(clamp(ray.z, -1.0, 1.0));
  vec3 seen = texture(frame, vec2(0.5 - azimuth / (2.0 * PI), 0.5 - elevation / PI)).rgb;
  vec4 harmonics = vec4(1.0, ray.y, ray.z, ray.x);
  float level = clamp(dot(harmonics, energy * harmonics), 0.0, 1.0);
  vec3 heat = vec3(1.0, 0.2 + 0.7 * level * level, 0.1);
  seen = mix(seen, heat, opacity * level * level);
  // Contour lines, one or two pixels wide, show peaks in regions of similar colour.
  float away = abs(fract(level * LINES + 0.5) - 0.5) / (LINES * max(fwidth(level), 1e-6));
  float line = level * LINES < 0.5 ? 0.0 : 1.0 - smoothstep(0.5, 1.5, away);
  colour = vec4(mix(seen, vec3(1.0), opacity * line), 1.0);
}`;

const radians = (deg) => (deg * Math.PI) / 180;

/** Unit vectors to the front, left and top of a view. */
function axesOf(yawDeg, pitchDeg) {
  const [cy, sy] = [Math.cos(radians(yawDeg)), Math.sin(radians(yawDeg))];
  const [cp, sp] = [Math.cos(radians(pitchDeg)), Math.sin(radians(pitchDeg))];
  return [[cy * cp, sy * cp, sp], [-sy, cy, 0], [-cy * sp, -sy * sp, cp]];
}

/** Draws a view of an equirectangular frame. Throws without WebGL 2. */
class Picture {
  constructor(canvas) {
    this.gl = canvas.getContext("webgl2");
    if (!this.gl) throw new Error("The 360° view requires WebGL 2, which this browser lacks.");
    this.textures = [];
    const program = this.gl.createProgram();
    this.attach(program, this.gl.VERTEX_SHADER, VERTEX_SHADER);
    this.attach(program, this.gl.FRAGMENT_SHADER, FRAGMENT_SHADER);
    this.gl.linkProgram(program);
    if (!this.gl.getProgramParameter(program, this.gl.LINK_STATUS)) {
      throw new Error(`The 360° view cannot be drawn: ${this.gl.getProgramInfoLog(program)}`);
    }
    this.gl.useProgram(program);
    this.place = (name) => this.gl.getUniformLocation(program, name);
  }

  attach(program, kind, source) {
    const shader = this.gl.createShader(kind);
    this.gl.shaderSource(shader, source);
    this.gl.compileShader(shader);
    this.gl.attachShader(program, shader);
  }

  /** Loads the frames of a clip, stacked vertically in one image. */
  load(image, count) {
    const gl = this.gl;
    this.textures.forEach((texture) => gl.deleteTexture(texture));
    const [width, height] = [image.naturalWidth, image.naturalHeight / count];
    const single = new OffscreenCanvas(width, height);
    this.textures = Array.from({ length: count }, (_, i) => {
      single.getContext("2d").drawImage(image, 0, -i * height);
      const texture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, single);
      // No mipmaps: their selection would be visible at the azimuth discontinuity.
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.REPEAT);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
      return texture;
    });
  }

  draw(frame, axes, zoomDeg, energy, opacity) {
    const { gl, place } = this;
    const { canvas } = gl;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((size) =>
      Math.round(size * devicePixelRatio),
    );
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height]; // Also allocates a new buffer.
    }
    gl.viewport(0, 0, width, height);
    const across = Math.tan(radians(zoomDeg / 2));
    gl.uniform2f(place("extent"), across, (across * height) / width);
    gl.uniformMatrix3fv(place("view"), false, axes.flat());
    gl.uniformMatrix4fv(place("energy"), false, energy);
    gl.uniform1f(place("opacity"), opacity);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[frame]);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

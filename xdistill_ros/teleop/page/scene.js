// What is drawn in the headset: a panel above where the arm is seen, a marker at the steering hand, and a floor where
// there is no passthrough.

import { Panel } from './panel.js';

const VERTEX = `#version 300 es
uniform mat4 view, model; in vec3 place; in vec2 texel; out vec2 uv;
void main() { uv = texel; gl_Position = view * model * vec4(place, 1.0); }`;
const FRAGMENT = `#version 300 es
precision mediump float; uniform sampler2D image; uniform vec4 tint; uniform float textured; in vec2 uv; out vec4 colour;
void main() { colour = mix(tint, texture(image, uv), textured); }`;
const PANEL = { width: 0.9, height: 0.5 };
const ABOVE = { place: [0, 0.22, -1.15], tilt: 0.16, scale: 1 }; // the arm is seen below it
const AHEAD = { place: [0, 0, -1.2], tilt: 0, scale: 1.7 }; // without passthrough its picture is all there is to see
const MARKER = { true: [0.13, 0.71, 0.45, 1], false: [0.55, 0.62, 0.7, 1] }, EDGE = [0.91, 0.63, 0.07, 1], HALF = 0.012;
const FLOOR = { y: -1.4, half: 3, step: 0.5, colour: [0.25, 0.31, 0.38, 1] };

export class Scene {
  constructor() {
    const gl = this.gl = document.createElement('canvas').getContext('webgl2', { xrCompatible: true, alpha: true, antialias: true });
    this.panel = new Panel();
    this.seeThrough = true;
    this.program = link(gl);
    this.at = Object.fromEntries(['view', 'model', 'tint', 'textured'].map((n) => [n, gl.getUniformLocation(this.program, n)]));
    this.quad = shape(gl, quad(PANEL.width, PANEL.height), gl.TRIANGLES);
    this.cube = shape(gl, cube(HALF), gl.TRIANGLES);
    this.floor = shape(gl, grid(), gl.LINES);
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  }

  /** One frame for both eyes; `hand` is the marker's matrix, or undefined. */
  draw(session, viewer, space, hand, shown) {
    const gl = this.gl, layer = session.renderState.baseLayer;
    gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
    gl.clearColor(...(this.seeThrough ? [0, 0, 0, 0] : [0.05, 0.07, 0.09, 1]));
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (!viewer) return;
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA); // canvas and passthrough both have their colours multiplied by alpha
    gl.useProgram(this.program);
    this.upload(shown);
    for (const eye of viewer.views) {
      const { x, y, width, height } = layer.getViewport(eye);
      gl.viewport(x, y, width, height);
      gl.uniformMatrix4fv(this.at.view, false, product(eye.projectionMatrix, eye.transform.inverse.matrix));
      if (!this.seeThrough) this.paint(this.floor, IDENTITY, FLOOR.colour);
      if (hand) this.paint(this.cube, hand, shown.state?.limit ? EDGE : MARKER[Boolean(shown.state?.engaged)]);
      this.paint(this.quad, placed(this.seeThrough ? ABOVE : AHEAD), null);
    }
  }

  upload(shown) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    if (!this.panel.paint(shown)) return;
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, this.panel.canvas);
    gl.generateMipmap(gl.TEXTURE_2D);
  }

  /** One shape with a flat colour, or with the panel's picture where `tint` is null. */
  paint(what, model, tint) {
    const gl = this.gl;
    gl.uniformMatrix4fv(this.at.model, false, model);
    gl.uniform4fv(this.at.tint, tint ?? [0, 0, 0, 0]);
    gl.uniform1f(this.at.textured, tint ? 0 : 1);
    gl.bindVertexArray(what.array);
    gl.drawArrays(what.kind, 0, what.count);
  }
}

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/** By columns: scaled, its top tilted towards the operator, moved to its place. */
function placed({ place, tilt, scale }) {
  const s = scale * Math.sin(tilt), c = scale * Math.cos(tilt);
  return [scale, 0, 0, 0, 0, c, s, 0, 0, -s, c, 0, ...place, 1];
}

/** a b, both by columns. */
function product(a, b) {
  return Array.from({ length: 16 }, (_, i) => {
    const row = i % 4, column = i - row;
    return a[row] * b[column] + a[row + 4] * b[column + 1] + a[row + 8] * b[column + 2] + a[row + 12] * b[column + 3];
  });
}

function link(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.bindAttribLocation(program, 0, 'place');
  gl.bindAttribLocation(program, 1, 'texel');
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

/** Vertices of five numbers: place, texel. */
function shape(gl, vertices, kind) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(vertices.flat()), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 20, 0);
  gl.enableVertexAttribArray(1);
  gl.vertexAttribPointer(1, 2, gl.FLOAT, false, 20, 12);
  return { array, kind, count: vertices.length };
}

function quad(width, height) {
  const corner = (u, v) => [(u - 0.5) * width, (v - 0.5) * height, 0, u, v];
  return [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 0), corner(1, 1), corner(0, 1)];
}

function cube(h) {
  const face = (axis, side) => {
    const corner = (a, b) => {
      const place = [0, 0, 0];
      place[axis] = side * h;
      place[(axis + 1) % 3] = a * h;
      place[(axis + 2) % 3] = b * h;
      return [...place, 0, 0];
    };
    return [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, -1), corner(1, 1), corner(-1, 1)];
  };
  return [0, 1, 2].flatMap((axis) => [...face(axis, -1), ...face(axis, 1)]);
}

/** In short pieces: a line that begins behind the eye is lost to some renderers. */
function grid() {
  const { y, half, step } = FLOOR, lines = [];
  for (let at = -half; at <= half; at += step) {
    for (let from = -half; from < half; from += step) {
      lines.push([at, y, from, 0, 0], [at, y, from + step, 0, 0], [from, y, at, 0, 0], [from + step, y, at, 0, 0]);
    }
  }
  return lines;
}

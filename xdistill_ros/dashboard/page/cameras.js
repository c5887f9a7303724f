// The cameras' pictures, with what is drawn into them: the plan, where the policy looks, the wished start.

const OLD_MS = 1000, GAZE_OLD_MS = 8000;
const LINE = 4; // pixels of the screen

export class Cameras {
  constructor(place) {
    this.place = place;
    this.tiles = new Map();
    this.plan = true;
    this.gaze = false;
    this.ghosts = false;
    this.blend = 0.5;
    this.delay = 0;
    setInterval(() => this.age(), 250);
  }

  /** A tile for every camera of the rig. */
  rig({ cameras }) {
    this.place.replaceChildren(...cameras.map(({ name, width, height }) => {
      const tile = document.createElement('figure');
      tile.innerHTML = '<canvas></canvas><figcaption><b></b><span></span></figcaption><p class="none">No picture</p>';
      tile.querySelector('b').textContent = name;
      tile.style.setProperty('--shape', `${width} / ${height}`);
      tile.dataset.camera = name;
      this.tiles.set(name, { tile, canvas: tile.querySelector('canvas'), says: tile.querySelector('span'), arrived: -Infinity });
      return tile;
    }));
  }

  /** One binary message: two bytes of length, a JSON text, a JPEG. */
  async hear(blob) {
    const arrived = performance.now();
    const length = new DataView(await blob.slice(0, 2).arrayBuffer()).getUint16(0);
    const about = JSON.parse(await blob.slice(2, 2 + length).text());
    const shown = this.tiles.get(about.camera);
    const data = blob.slice(2 + length, blob.size, 'image/jpeg');
    if (!shown || shown[`${about.kind} waits`]) return;
    shown[`${about.kind} waits`] = true; // one that comes while another is being unpacked is left out
    try {
      this[about.kind === 'camera' ? 'picture' : about.kind === 'gaze' ? 'heat' : 'wished'](shown, about, data.size ? await createImageBitmap(data) : null, arrived);
    } finally {
      shown[`${about.kind} waits`] = false;
    }
  }

  picture(shown, about, bitmap, arrived) {
    shown.bitmap?.close();
    Object.assign(shown, { bitmap, about, arrived });
    this.draw(shown);
    shown.drawn = about.age_ms + this.delay + performance.now() - arrived;
    shown.tile.dataset.age = shown.drawn.toFixed(1);
  }

  heat(shown, about, bitmap, arrived) {
    shown.heat = coloured(bitmap);
    shown.heated = arrived;
  }

  wished(shown, about, bitmap) {
    for (const other of this.tiles.values()) other.ghost = null;
    shown.ghost = bitmap;
    document.getElementById('ghost-switch').hidden = !bitmap;
  }

  draw(shown) {
    const { canvas, bitmap, about } = shown;
    const width = Math.round(canvas.clientWidth * devicePixelRatio), height = Math.round(width * bitmap.height / bitmap.width);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const paper = canvas.getContext('2d', { alpha: false });
    paper.drawImage(bitmap, 0, 0, width, height);
    if (this.ghosts && shown.ghost) layer(paper, shown.ghost, width, height, this.blend);
    if (this.gaze && shown.heat && performance.now() - shown.heated < GAZE_OLD_MS) layer(paper, shown.heat, width, height, 0.75);
    if (this.plan) this.path(paper, about.path, width, height);
  }

  /** From yellow, now, to magenta; a dot is as large as the gripper is open. */
  path(paper, points, width, height) {
    paper.lineWidth = LINE * devicePixelRatio;
    paper.lineCap = 'round';
    points.forEach(([x, y, open], k) => {
      const colour = `hsl(${50 - 100 * k / Math.max(points.length - 1, 1)} 100% 55%)`;
      paper.strokeStyle = paper.fillStyle = colour;
      if (k) line(paper, points[k - 1], [x, y], width, height);
      paper.beginPath();
      paper.arc(x * width, y * height, (2.5 + 5 * open) * devicePixelRatio, 0, 2 * Math.PI);
      paper.fill();
    });
  }

  age() {
    const now = performance.now();
    for (const { tile, says, arrived, drawn } of this.tiles.values()) {
      const old = now - arrived > OLD_MS;
      tile.classList.toggle('old', old);
      says.textContent = arrived < 0 ? '' : old ? `${((now - arrived) / 1000).toFixed(0)} s old` : `${drawn.toFixed(0)} ms old`;
    }
  }
}

function line(paper, from, to, width, height) {
  paper.beginPath();
  paper.moveTo(from[0] * width, from[1] * height);
  paper.lineTo(to[0] * width, to[1] * height);
  paper.stroke();
}

function layer(paper, image, width, height, alpha) {
  paper.globalAlpha = alpha;
  paper.drawImage(image, 0, 0, width, height);
  paper.globalAlpha = 1;
}

/** A grey heat map as a warm glow: the brighter, the more opaque. */
function coloured(bitmap) {
  const made = new OffscreenCanvas(bitmap.width, bitmap.height), paper = made.getContext('2d');
  paper.drawImage(bitmap, 0, 0);
  const pixels = paper.getImageData(0, 0, made.width, made.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const heat = pixels.data[at];
    pixels.data.set([255, 255 - heat, 40, heat], at);
  }
  paper.putImageData(pixels, 0, 0);
  return made;
}

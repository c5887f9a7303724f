// The panel that the operator sees in the headset: state, episodes, time, picture, warnings. Draws a canvas.

import { clock } from './view.js';

const WIDTH = 1152, HEIGHT = 640, EDGE = 28, TEXT = 672; // where the text begins, right of the picture
const PAPER = 'rgba(13, 18, 24, 0.86)', INK = '#eef3f8', FAINT = '#9fb0c0', GOOD = '#43d08f', WARN = '#f2bd56', BAD = '#ff8680';
const AGAIN_MS = 100; // the picture and the time change no faster
const FONT = 'system-ui, Roboto, sans-serif';

export class Panel {
  constructor() {
    this.canvas = document.createElement('canvas');
    [this.canvas.width, this.canvas.height] = [WIDTH, HEIGHT];
    this.paper = this.canvas.getContext('2d');
    this.painted = 0;
  }

  /** Whether the canvas is new. `shown`: state, picture, delay, notice. */
  paint(shown) {
    const now = performance.now();
    if (now - this.painted < AGAIN_MS) return false;
    this.painted = now;
    const paper = this.paper;
    paper.clearRect(0, 0, WIDTH, HEIGHT);
    paper.fillStyle = PAPER;
    paper.beginPath();
    paper.roundRect(0, 0, WIDTH, HEIGHT, 36);
    paper.fill();
    this.picture(shown.picture);
    if (shown.state) this.text(shown);
    else this.line('connecting …', TEXT, 90, 40, WARN);
    return true;
  }

  picture(bitmap) {
    const width = TEXT - 2 * EDGE, height = width * 0.75;
    this.paper.save();
    this.paper.beginPath();
    this.paper.roundRect(EDGE, EDGE, width, height, 20);
    this.paper.clip();
    this.paper.fillStyle = '#05080b';
    this.paper.fillRect(EDGE, EDGE, width, height);
    if (bitmap) {
      const scale = Math.min(width / bitmap.width, height / bitmap.height);
      const [w, h] = [bitmap.width * scale, bitmap.height * scale];
      this.paper.drawImage(bitmap, EDGE + (width - w) / 2, EDGE + (height - h) / 2, w, h);
    }
    this.paper.restore();
    if (!bitmap) this.line('no picture', EDGE + 30, EDGE + 60, 28, FAINT);
  }

  text({ state, delay, notice }) {
    const [word, colour] = headline(state);
    this.line(word, TEXT, 82, 46, colour, 700);
    this.line(state.mode || 'the arm says nothing', TEXT, 126, 25, state.mode === 'teleop' ? GOOD : FAINT);
    const recorder = state.recorder;
    const recording = recorder?.state === 'recording';
    this.line(recording ? '● recording' : recorder?.state ?? 'no recorder', TEXT, 208, 31, recording ? BAD : FAINT, 600);
    if (recorder) {
      this.line(clock(recorder.seconds), TEXT, 284, 64, INK, 650);
      this.line(`${recorder.episodes} episodes`, TEXT + 190, 262, 30, INK);
      this.line(recorder.stage, TEXT + 190, 296, 25, FAINT);
    }
    const refused = recorder?.state === 'refused' ? recorder.message : '';
    const edge = state.limit ? 'At the edge of the workspace: come back' : '';
    this.paragraph(state.refusal?.sentence ?? (edge || refused), TEXT, 356, 28, BAD);
    const link = delay === undefined ? '' : ` · ${delay.toFixed(0)} ms`;
    const degrees = Math.round(state.yaw_rad * 180 / Math.PI);
    this.line(`scale ${state.scale.toFixed(2)} · facing ${degrees}°${link}`, EDGE + 4, 548, 25, FAINT);
    if (notice) this.line(notice.text, EDGE + 4, 602, 27, notice.ok ? GOOD : WARN);
    else this.line('grip: clutch   trigger: gripper   A: start, stop   B: discard   stick: mark, scale, facing', EDGE + 4, 602, 25, FAINT);
  }

  line(text, x, y, size, colour, weight = 400) {
    this.paper.font = `${weight} ${size}px ${FONT}`;
    this.paper.fillStyle = colour;
    const room = WIDTH - x - EDGE;
    let shown = text;
    while (shown && this.paper.measureText(shown).width > room) shown = `${shown.slice(0, -2)}…`;
    this.paper.fillText(shown, x, y);
  }

  paragraph(text, x, y, size, colour) {
    this.paper.font = `400 ${size}px ${FONT}`;
    let line = '';
    for (const word of text.split(' ')) {
      if (line && this.paper.measureText(`${line} ${word}`).width > WIDTH - x - EDGE) {
        this.line(line, x, y, size, colour);
        [line, y] = [word, y + size * 1.3];
      } else {
        line = line ? `${line} ${word}` : word;
      }
    }
    this.line(line, x, y, size, colour);
  }
}

function headline({ seat, engaged, limit, refusal }) {
  if (seat === 'other') return ['Another steers', WARN];
  if (engaged) return limit ? ['At the edge', WARN] : ['You move the arm', GOOD];
  return refusal ? ['Arm let go', BAD] : ['Grip to move', INK];
}

// Strips of the last seconds: what was measured, commanded and predicted, and where a new chunk began. Draws only.

const PAST_S = 10, AHEAD_S = 1.6, FRAME_MS = 80, CHUNKS = 12;
const LEAST = { m: 0.02, rad: 0.1 };
const LEFT = 62, TOP = 6, BOTTOM = 8;

export class Plots {
  constructor(canvas) {
    this.canvas = canvas;
    this.channels = [];
    this.group = 'tcp';
    this.forget();
    for (const tab of document.querySelectorAll('[data-group]')) tab.onclick = () => this.choose(tab.dataset.group);
    addEventListener('resize', () => { this.stale = true; });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.stale = true; });
    setInterval(() => { if (this.stale && !document.hidden) requestAnimationFrame(() => this.draw()); }, FRAME_MS);
  }

  rig({ channels }) {
    this.channels = channels;
    this.forget();
  }

  forget() { Object.assign(this, { measured: [], commanded: [], chunks: [], now: 0, stale: true }); }

  choose(group) {
    [this.group, this.stale] = [group, true];
    for (const tab of document.querySelectorAll('[data-group]')) tab.ariaSelected = String(tab.dataset.group === group);
  }

  sample({ now_s, measured, commanded }) {
    [this.now, this.stale] = [now_s, true];
    for (const [kept, row] of [[this.measured, measured], [this.commanded, commanded]]) {
      if (row && row[0] > (kept.at(-1)?.[0] ?? -Infinity)) kept.push(row);
      while (kept.length && kept[0][0] < now_s - PAST_S) kept.shift();
    }
  }

  chunk(chunk) {
    this.stale = true;
    this.chunks.push(chunk);
    while (this.chunks.length > CHUNKS * 4) this.chunks.shift();
  }

  draw() {
    this.stale = false;
    const shown = this.channels.map((channel, k) => ({ ...channel, k })).filter(({ group }) => group === this.group);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !shown.length) return;
    const columns = width > 560 ? 2 : 1, rows = Math.ceil(shown.length / columns);
    Object.assign(this.canvas, { width: width * devicePixelRatio, height: height * devicePixelRatio });
    const paper = this.canvas.getContext('2d');
    paper.scale(devicePixelRatio, devicePixelRatio);
    const colours = this.colours();
    shown.forEach((channel, n) => this.strip(paper, channel, colours, {
      x: (n % columns) * width / columns, y: Math.floor(n / columns) * height / rows, width: width / columns, height: height / rows }));
  }

  strip(paper, { k, name, unit }, colours, box) {
    const now = this.now;
    const chunks = this.chunks.filter((chunk) => chunk.times_s.at(-1) > now - PAST_S);
    const plans = chunks.filter((chunk) => chunk.values[k]).slice(-CHUNKS);
    const [low, high] = range([...this.measured, ...this.commanded].map((row) => row[k + 1]), plans.flatMap((plan) => plan.values[k]), LEAST[unit]);
    const left = box.x + LEFT, right = box.x + box.width - 10, top = box.y + TOP, bottom = box.y + box.height - BOTTOM;
    const x = (s) => left + (s - now + PAST_S) / (PAST_S + AHEAD_S) * (right - left);
    const y = (value) => bottom - (value - low) / (high - low) * (bottom - top);
    paper.fillStyle = colours.ground;
    paper.fillRect(left, top, right - left, bottom - top);
    this.words(paper, colours, name, unit, [low, high], { left, top, bottom });
    paper.save();
    paper.beginPath();
    paper.rect(left, top, right - left, bottom - top);
    paper.clip();
    for (const { observed_s } of chunks) stroke(paper, colours.line, 1, [], [[x(observed_s), top], [x(observed_s), bottom]]);
    stroke(paper, colours.faint, 1, [2, 3], [[x(now), top], [x(now), bottom]]);
    plans.forEach((plan, n) => {
      paper.globalAlpha = n === plans.length - 1 ? 1 : 0.3;
      stroke(paper, colours.planned, 2, [], plan.times_s.map((s, i) => [x(s), y(plan.values[k][i])]));
    });
    paper.globalAlpha = 1;
    stroke(paper, colours.commanded, 2, [5, 3], this.commanded.map((row) => [x(row[0]), y(row[k + 1])]));
    stroke(paper, colours.measured, 2.2, [], this.measured.map((row) => [x(row[0]), y(row[k + 1])]));
    paper.restore();
  }

  words(paper, colours, name, unit, [low, high], { left, top, bottom }) {
    paper.textAlign = 'right';
    paper.fillStyle = colours.ink;
    paper.font = '600 13px system-ui, sans-serif';
    paper.fillText(name, left - 7, (top + bottom) / 2 + 4);
    paper.fillStyle = colours.faint;
    paper.font = '11px system-ui, sans-serif';
    const digits = unit === 'm' ? 3 : 2;
    paper.fillText(high.toFixed(digits), left - 7, top + 10);
    paper.fillText(`${low.toFixed(digits)} ${unit}`, left - 7, bottom - 1);
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(['ink', 'faint', 'line', 'ground', 'measured', 'commanded', 'planned']
      .map((name) => [name, style.getPropertyValue(`--${name}`)]));
  }
}

/** The span of all values with some air around it, never less than `least`. */
function range(values, more, least) {
  let low = Infinity, high = -Infinity;
  for (const value of [...values, ...more]) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low > high) return [-least, least];
  const air = Math.max((high - low) * 0.1, (least - (high - low)) / 2);
  return [low - air, high + air];
}

function stroke(paper, colour, width, dashes, points) {
  paper.beginPath();
  points.forEach(([x, y], n) => (n ? paper.lineTo(x, y) : paper.moveTo(x, y)));
  Object.assign(paper, { strokeStyle: colour, lineWidth: width });
  paper.setLineDash(dashes);
  paper.stroke();
}

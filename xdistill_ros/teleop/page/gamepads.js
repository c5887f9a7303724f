// A gamepad or a SpaceMouse, by the browser's Gamepad API: what it wants of the hand. Sends nothing.

const DEAD = 0.12;
const SPACE_MOUSE = /space ?(mouse|navigator|explorer|pilot)|3dconnexion/i;

export class Gamepads {
  constructor() { this.before = new Map(); }

  /** What the gamepads want now: `move`, `turn`, `clutch`, `trigger` (0 to 1, or null without one), `taps`. */
  read() {
    const wish = { move: [0, 0, 0], turn: [0, 0, 0], clutch: false, trigger: null, taps: [] };
    for (const pad of navigator.getGamepads()) {
      if (!pad?.connected) continue;
      if (SPACE_MOUSE.test(pad.id)) this.spaceMouse(pad, wish);
      else if (pad.mapping === 'standard') this.gamepad(pad, wish);
    }
    return wish;
  }

  /** Left stick over the table, right stick up and down and turning, left shoulder the clutch. */
  gamepad(pad, wish) {
    const [lx, ly, rx, ry] = pad.axes.map(live);
    add(wish.move, [lx, -ry, ly]);
    add(wish.turn, [value(pad, 13) - value(pad, 12), -rx, value(pad, 14) - value(pad, 15)]);
    wish.clutch ||= pressed(pad, 4);
    wish.trigger = value(pad, 7);
    this.taps(pad, { 0: 'record', 1: 'discard', 3: 'mark' }, wish);
  }

  /** Six axes: right, towards the operator, down; and the turns about them. */
  spaceMouse(pad, wish) {
    const [x, y, z, rx, ry, rz] = [...pad.axes, 0, 0, 0, 0, 0, 0].map(live);
    add(wish.move, [x, -z, y]);
    add(wish.turn, [rx, -rz, ry]);
    wish.clutch ||= pressed(pad, 0);
    this.taps(pad, { 1: 'grip' }, wish);
  }

  /** Buttons that went down since the last look. */
  taps(pad, meanings, wish) {
    const before = this.before.get(pad.index) ?? {}, now = {};
    for (const [index, meaning] of Object.entries(meanings)) {
      now[index] = pressed(pad, index);
      if (now[index] && before[index] === false) wish.taps.push(meaning);
    }
    this.before.set(pad.index, now);
  }
}

function live(value) { return Math.abs(value) < DEAD ? 0 : value; }
function value(pad, index) { return pad.buttons[index]?.value ?? 0; }
function pressed(pad, index) { return pad.buttons[index]?.pressed ?? false; }
function add(sum, more) { more.forEach((v, i) => { sum[i] += v || 0; }); }

// A gamepad's buttons, by the browser's Gamepad API, as words. Sends nothing.

const MEANINGS = { 0: 'yes', 1: 'no', 2: 'undo', 5: 'stop', 14: 'nearer', 15: 'further' };

export class Gamepad extends EventTarget {
  /** Events: `press` (detail: what), `there` (detail: the pad's name, or empty). */
  constructor() {
    super();
    this.before = new Map();
    this.name = '';
    const look = () => { requestAnimationFrame(look); this.read(); };
    look();
  }

  read() {
    let name = '';
    for (const pad of navigator.getGamepads()) {
      if (!pad?.connected || pad.mapping !== 'standard') continue;
      name = pad.id.replace(/\s*\(.*/, '');
      const before = this.before.get(pad.index) ?? {}, now = {};
      for (const [index, meaning] of Object.entries(MEANINGS)) {
        now[index] = pad.buttons[index]?.pressed ?? false;
        if (now[index] && before[index] === false) this.say('press', meaning);
      }
      this.before.set(pad.index, now);
    }
    if (name !== this.name) {
      this.name = name;
      this.say('there', name);
    }
  }

  say(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

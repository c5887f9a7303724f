// Mouse, touch, keys and the buttons on the picture: what they want of the hand. Sends nothing.

const METRES_ACROSS = 0.6; // a drag across the whole picture
const METRES_A_NOTCH = 0.01;
const TAPS = { KeyG: 'grip', Enter: 'record', Delete: 'discard', Backspace: 'discard', KeyM: 'mark', KeyP: 'arm_engage', Escape: 'arm_stop' };
const MOVES = { KeyD: [0, 1], KeyA: [0, -1], KeyR: [1, 1], KeyF: [1, -1], KeyS: [2, 1], KeyW: [2, -1],
  ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [2, 1], ArrowUp: [2, -1] };
const TURNS = { KeyK: [0, 1], KeyI: [0, -1], KeyQ: [1, 1], KeyE: [1, -1], KeyJ: [2, 1], KeyL: [2, -1] };

export class Desk extends EventTarget {
  /** Events: `tap` (detail: what was asked for), `lost` (the keyboard went elsewhere). `hand` takes the drags. */
  constructor(stage, hand) {
    super();
    this.stage = stage;
    this.hand = hand;
    this.held = new Set();
    addEventListener('keydown', (event) => this.key(event, true));
    addEventListener('keyup', (event) => this.key(event, false));
    addEventListener('blur', () => this.lose());
    document.addEventListener('visibilitychange', () => document.hidden && this.lose());
    for (const button of document.querySelectorAll('[data-key]')) this.button(button, button.dataset.key);
    for (const button of document.querySelectorAll('[data-tap]')) button.onclick = () => { this.tap(button.dataset.tap); stage.focus(); };
    stage.addEventListener('pointerdown', (event) => this.grab(event));
    stage.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
  }

  /** The clutch is held. */
  get clutch() { return this.held.has('Space'); }

  /** What the keys want of the hand now. */
  wish() {
    const move = [0, 0, 0], turn = [0, 0, 0];
    for (const code of this.held) {
      if (MOVES[code]) move[MOVES[code][0]] += MOVES[code][1];
      if (TURNS[code]) turn[TURNS[code][0]] += TURNS[code][1];
    }
    return { move, turn, slow: this.held.has('ShiftLeft') || this.held.has('ShiftRight') };
  }

  tap(what) { this.dispatchEvent(new CustomEvent('tap', { detail: what })); }

  key(event, down) {
    if (event.target.matches('input') || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === 'Enter' && event.target.matches('button, summary')) return;
    const known = event.code === 'Space' || event.code in MOVES || event.code in TURNS || event.code in TAPS;
    if (known) event.preventDefault(); // else Space would press the button that has the focus
    if (down && !event.repeat && TAPS[event.code]) this.tap(TAPS[event.code]);
    this.hold(event.code, down);
  }

  hold(code, down) {
    if (down) this.held.add(code);
    else this.held.delete(code);
    for (const button of document.querySelectorAll(`[data-key="${code}"]`)) button.classList.toggle('down', down);
  }

  /** A button that counts as a key for as long as a finger or the mouse is on it. */
  button(button, code) {
    button.addEventListener('pointerdown', (event) => {
      event.stopPropagation();
      button.setPointerCapture(event.pointerId);
      this.hold(code, true);
    });
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
      button.addEventListener(end, () => this.hold(code, false));
    }
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  grab(event) {
    if (event.target.closest('button')) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    let { clientX: x, clientY: y } = event;
    const move = (moved) => {
      if (moved.pointerId !== event.pointerId) return;
      const metres = METRES_ACROSS / this.stage.clientWidth;
      if (this.clutch) this.hand.drag([(moved.clientX - x) * metres, 0, (moved.clientY - y) * metres]);
      ({ clientX: x, clientY: y } = moved);
    };
    const end = (ended) => {
      if (ended.pointerId !== event.pointerId) return;
      this.stage.removeEventListener('pointermove', move);
      for (const type of ['pointerup', 'pointercancel']) this.stage.removeEventListener(type, end);
    };
    this.stage.addEventListener('pointermove', move);
    for (const type of ['pointerup', 'pointercancel']) this.stage.addEventListener(type, end);
  }

  wheel(event) {
    event.preventDefault();
    if (this.clutch) this.hand.drag([0, -Math.sign(event.deltaY) * METRES_A_NOTCH, 0]);
  }

  lose() {
    const clutch = this.clutch;
    for (const code of [...this.held]) this.hold(code, false);
    if (clutch) this.dispatchEvent(new Event('lost'));
  }
}

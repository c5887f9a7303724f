// The headset's operator: a WebXR session, the controllers, what is seen and felt in it.

import { Scene } from './scene.js';

const BUTTON = { trigger: 0, grip: 1, stick: 3, lower: 4, upper: 5 };
const STICK = { x: 2, y: 3 }, PUSHED = 0.7, BACK = 0.3;
const SCALE_STEP = 1.25, YAW_STEP = Math.PI / 12;
const PULSE = { engaged: [0.6, 40], limit: [0.9, 25], lost: [1, 220] };

/** The best that the browser offers: `immersive-ar`, `immersive-vr`, or null. */
export async function immersion() {
  for (const mode of ['immersive-ar', 'immersive-vr']) {
    if (await navigator.xr?.isSessionSupported(mode).catch(() => false)) return mode;
  }
  return null;
}

let scene = null;

export class Headset extends EventTarget {
  /** `say` has `steer(sample)`, `ask(what)`, `settle(scale, yaw_rad)`, `release(why)`. Event: `end`. */
  constructor(say) {
    super();
    this.to = say;
    this.side = 'right';
    this.clutch = false;
    this.trigger = 0;
    this.down = new Map();
    this.state = null;
    this.delay = undefined;
  }

  /** Starts a session; must be called while a click is handled. */
  async enter(mode) {
    this.session = await navigator.xr.requestSession(mode, { requiredFeatures: ['local'] });
    this.scene = scene ??= new Scene(); // one for all sessions: a browser allows few contexts
    await this.session.updateRenderState({ baseLayer: new XRWebGLLayer(this.session, this.scene.gl) });
    this.space = await this.session.requestReferenceSpace('local');
    this.space.addEventListener('reset', () => this.to.release('space_reset'));
    this.session.addEventListener('visibilitychange', () => this.visible || this.to.release('headset_removed'));
    this.session.addEventListener('end', () => this.ended());
    this.scene.seeThrough = this.session.environmentBlendMode !== 'opaque';
    this.session.requestAnimationFrame((time, frame) => this.frame(frame));
  }

  get visible() { return this.session.visibilityState === 'visible'; }

  show(state) {
    if (state.engaged && !this.state?.engaged) this.pulse('engaged');
    if (state.limit && !this.state?.limit) this.pulse('limit');
    if (state.refusal && !this.state?.refusal) this.pulse('lost');
    this.state = state;
  }

  say(notice) { this.notice = { ...notice, until: performance.now() + 4000 }; }

  async picture(blob) {
    const bitmap = await createImageBitmap(blob);
    this.seen?.close();
    this.seen = bitmap;
  }

  ended() {
    this.to.release('headset_removed');
    this.seen?.close();
    this.dispatchEvent(new Event('end'));
  }

  frame(frame) {
    this.session.requestAnimationFrame((time, next) => this.frame(next));
    const sources = [...this.session.inputSources].filter((source) => source.gripSpace && source.gamepad);
    const source = this.steering(sources);
    const pose = source && frame.getPose(source.gripSpace, this.space);
    if (source) this.buttons(source);
    for (const free of sources.filter((one) => one !== source)) this.freeHand(free);
    this.to.steer(this.sample(source, pose));
    this.scene.draw(this.session, frame.getViewerPose(this.space), this.space, pose?.transform.matrix, {
      state: this.state, picture: this.seen, delay: this.delay,
      notice: this.notice?.until > performance.now() ? this.notice : null,
    });
  }

  /** Either hand may steer: the one whose grip is pressed, and then it stays that one until it lets go. */
  steering(sources) {
    const gripped = sources.filter((source) => source.gamepad.buttons[BUTTON.grip]?.pressed);
    if (gripped.length && !gripped.some((source) => source.handedness === this.side)) this.side = gripped[0].handedness;
    const found = sources.find((source) => source.handedness === this.side);
    return found ?? (this.clutch ? undefined : sources[0]);
  }

  /** A controller that vanishes with its grip pressed has not let go: it has been lost, and the arm must know it so. */
  sample(source, pose) {
    const buttons = source?.gamepad.buttons ?? [];
    const { x, y, z } = pose?.transform.position ?? {};
    const turn = pose?.transform.orientation;
    if (source) {
      this.clutch = buttons[BUTTON.grip]?.pressed ?? false;
      this.trigger = buttons[BUTTON.trigger]?.value ?? 0;
    }
    return {
      device: 'controller',
      position: pose ? [x, y, z] : null,
      orientation: pose ? [turn.x, turn.y, turn.z, turn.w] : null,
      emulated: pose?.emulatedPosition ?? false,
      visible: this.visible,
      clutch: this.clutch,
      trigger: this.trigger,
    };
  }

  /** A or X: start, stop. B or Y: discard. Stick pressed: a stage. Stick pushed while the clutch is open: scale, facing. */
  buttons(source) {
    const { buttons, axes } = source.gamepad;
    if (this.went(`${source.handedness} lower`, buttons[BUTTON.lower]?.pressed)) this.to.ask('record');
    if (this.went(`${source.handedness} upper`, buttons[BUTTON.upper]?.pressed)) this.to.ask('discard');
    if (this.went(`${source.handedness} stick`, buttons[BUTTON.stick]?.pressed)) this.to.ask('mark');
    if (!this.state || this.state.engaged) return;
    const x = this.flick('x', axes[STICK.x] ?? 0), y = this.flick('y', axes[STICK.y] ?? 0);
    if (!x && !y) return;
    const scale = this.state.scale * SCALE_STEP ** -y, yaw = this.state.yaw_rad + x * YAW_STEP;
    this.to.settle(Math.max(0.1, Math.min(2, scale)), Math.atan2(Math.sin(yaw), Math.cos(yaw)));
  }

  /** The hand that does not steer: A or X hands the arm to the policy. */
  freeHand({ handedness, gamepad }) {
    if (this.went(`${handedness} lower`, gamepad.buttons[BUTTON.lower]?.pressed)) this.to.ask('arm_engage');
  }

  /** Whether a button went down since the last frame; one that was down at the first does not count. */
  went(name, pressed) {
    const before = this.down.get(name);
    this.down.set(name, Boolean(pressed));
    return pressed && before === false;
  }

  /** -1 or 1 once for each push of the stick, else 0. */
  flick(name, value) {
    const was = this.down.get(name) ?? true;
    this.down.set(name, was ? Math.abs(value) > BACK : Math.abs(value) > PUSHED);
    return !was && this.down.get(name) ? Math.sign(value) : 0;
  }

  pulse(what) {
    const [strength, milliseconds] = PULSE[what];
    for (const source of this.session.inputSources) {
      if (source.handedness === this.side) source.gamepad?.hapticActuators?.[0]?.pulse(strength, milliseconds);
    }
  }
}

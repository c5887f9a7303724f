// The page: pairs, connects, and lets one of two operators send samples: the desk (mouse, keys, gamepad) or the headset.

import { say } from './bar.js';
import { Desk } from './desk.js';
import { Gamepads } from './gamepads.js';
import { Hand } from './hand.js';
import { Link } from './link.js';
import { admitted } from './pairing.js';
import { View } from './view.js';
import { Headset, immersion } from './headset.js';

const at = (id) => document.getElementById(id);
const view = new View(), link = new Link(), hand = new Hand(), gamepads = new Gamepads();
const desk = new Desk(at('stage'), hand);
const BUTTONS = { record: 'record', discard: 'discard', mark: 'mark', 'arm-stop': 'arm_stop', 'arm-home': 'arm_home', 'arm-reset': 'arm_reset',
  'arm-engage': 'arm_engage' };
let state = null, headset = null, closed = false, claimed = false, last = null, mode = null, before = performance.now();

// ---- asking for things

function ask(what) {
  if (what === 'grip') closed = !closed;
  else if (what === 'record') link.send({ type: 'call', action: state?.recorder?.state === 'recording' ? 'stop' : 'start' });
  else link.send({ type: 'call', action: what });
}

/** Sends a sample when this page steers; asks for the seat when it wants to. */
function steer(sample) {
  last = sample;
  if (state?.seat === 'you') {
    claimed = false;
    link.send({ type: 'sample', time_ms: performance.now(), ...sample });
  } else if (sample.clutch && !claimed) {
    claimed = link.send({ type: 'claim' });
  } else if (!sample.clutch) {
    claimed = false;
  }
}

// ---- the desk's operator

function frame(now) {
  requestAnimationFrame(frame);
  const seconds = (now - before) / 1000;
  before = now;
  if (headset || !link.up) return;
  const keys = desk.wish(), pad = gamepads.read();
  pad.taps.forEach(ask);
  const clutch = desk.clutch || pad.clutch;
  if (clutch && state?.engaged) {
    hand.step(seconds, { move: sum(keys.move, pad.move), turn: sum(keys.turn, pad.turn), slow: keys.slow });
  } else {
    hand.rest();
  }
  steer({ device: 'pointer', position: hand.position, orientation: hand.orientation, emulated: false,
    visible: true, clutch, trigger: Math.max(closed ? 1 : 0, pad.trigger ?? 0) });
}

function sum(a, b) { return a.map((v, i) => v + b[i]); }

desk.addEventListener('tap', ({ detail }) => ask(detail));
desk.addEventListener('lost', () => link.send({ type: 'release', why: 'page_hidden' }));
for (const [id, what] of Object.entries(BUTTONS)) at(id).onclick = () => { ask(what); at('stage').focus(); };
at('leave').onclick = () => { link.send({ type: 'leave' }); at('stage').focus(); };
for (const id of ['scale', 'yaw']) {
  at(id).oninput = () => settle(Number(at('scale').value), Number(at('yaw').value) * Math.PI / 180);
  at(id).onchange = () => at('stage').focus();
}

function settle(scale, yaw_rad) { link.send({ type: 'settings', scale, yaw_rad }); }

// ---- the headset's

async function enter() {
  const next = new Headset({ steer, ask, settle, release: (why) => link.send({ type: 'release', why }) });
  next.addEventListener('end', () => { headset = null; });
  try {
    await next.enter(mode);
    headset = next;
    if (state) headset.show(state);
  } catch (error) {
    say({ ok: false, text: `The headset does not start: ${error.message}` });
  }
}

async function offerHeadset() {
  mode = await immersion();
  at('enter-xr').hidden = !mode;
  at('enter-xr').textContent = mode === 'immersive-ar' ? 'Enter AR' : 'Enter VR';
}
at('enter-xr').onclick = enter;
navigator.xr?.addEventListener('devicechange', offerHeadset);

// ---- what the server says

link.addEventListener('message', ({ detail }) => {
  if (detail.type === 'notice') {
    say(detail);
    headset?.say(detail);
    return;
  }
  if (detail.seat === 'you' && state?.seat !== 'you') {
    closed = detail.opening < 0.5; // the gripper stays as the last operator left it
    // the clutch counts from its next press, which may be under way: first it is seen open
    if (last) link.send({ type: 'sample', time_ms: performance.now(), ...last, clutch: false });
  }
  state = detail;
  view.show(state);
  headset?.show(state);
});
link.addEventListener('picture', ({ detail }) => {
  if (headset) headset.picture(detail);
  else view.picture(detail);
});
link.addEventListener('delay', ({ detail }) => {
  view.link(true, detail);
  if (headset) headset.delay = detail;
});
link.addEventListener('open', () => view.link(true));
link.addEventListener('closed', () => {
  view.link(false);
  if (!state) return;
  const refusal = { sentence: 'teleop_node does not answer; connecting again' };
  state = { ...state, seat: 'free', engaged: false, mode: '', refusal };
  view.show(state);
  headset?.show(state);
});
link.addEventListener('unpaired', begin);

async function begin() {
  await admitted();
  at('stage').focus();
  link.open();
}

offerHeadset();
begin();
requestAnimationFrame(frame);

// The page: connects, hands what the server says to those who show it, and asks for what the operator wants.

import { say } from './bar.js';
import { Cameras } from './cameras.js';
import { Gamepad } from './gamepad.js';
import { Link } from './link.js';
import { admitted } from './pairing.js';
import { Plots } from './plots.js';
import { Trial } from './trial.js';
import { View } from './view.js';

const at = (id) => document.getElementById(id);
const link = new Link(), view = new View(), cameras = new Cameras(at('tiles')), plots = new Plots(at('plots'));
const trial = new Trial(send), gamepad = new Gamepad();
const CALLS = { engage: 'engage', disengage: 'disengage', home: 'home', release: 'release', reset: 'reset', discard: 'discard', mark: 'mark' };
let seat = 'free', rig = '';

// ---- asking

function send(message) {
  if (!link.send(message)) say({ ok: false, text: 'Not connected: nothing was asked for' });
}

/** By the socket, or, where that is just not up, by a request of its own. */
async function stop() {
  at('stop').classList.add('pressed');
  setTimeout(() => at('stop').classList.remove('pressed'), 400);
  if (link.send({ type: 'stop' })) return;
  try {
    say(await (await fetch('/stop', { method: 'POST' })).json());
  } catch {
    say({ ok: false, text: 'STOP did not get through: use the arm’s own emergency stop' });
  }
}

at('stop').addEventListener('pointerdown', stop); // a click would wait for the finger to be lifted
at('stop').addEventListener('click', (event) => { if (event.detail === 0) stop(); });
addEventListener('keydown', (event) => {
  const writes = event.target.matches?.('input:not([type=checkbox], [type=range]), textarea');
  if (event.code === 'Escape' || (event.code === 'Space' && !writes)) {
    event.preventDefault();
    if (!event.repeat) stop();
  }
}, { capture: true });
addEventListener('keyup', (event) => { if (event.code === 'Space' && event.target.matches?.('button')) event.preventDefault(); });

for (const [id, action] of Object.entries(CALLS)) at(id).onclick = () => send({ type: 'call', action });
at('record').onclick = () => send({ type: 'call', action: view.recording ? 'save' : 'record' });
at('seat-button').onclick = () => send({ type: seat === 'you' ? 'leave' : 'claim' });

function watch() {
  cameras.plan = at('show-plan').checked;
  cameras.gaze = at('show-gaze').checked;
  link.send({ type: 'watch', pictures: !document.hidden, gaze: cameras.gaze && !document.hidden });
}
for (const id of ['show-plan', 'show-gaze']) at(id).onchange = watch;
document.addEventListener('visibilitychange', watch);
at('ghost').oninput = () => { cameras.blend = Number(at('ghost').value); };

gamepad.addEventListener('press', ({ detail }) => { if (detail === 'stop') stop(); else trial.press(detail); });
gamepad.addEventListener('there', ({ detail }) => { at('gamepad').textContent = detail || 'no gamepad'; });

// ---- being told

const PARTS = {
  rig(told) {
    if (JSON.stringify(told) === rig) return; // after a broken connection it is the same one, and what is drawn stays
    rig = JSON.stringify(told);
    for (const part of [view, cameras, plots]) part.rig(told);
  },
  trial(told) { trial.show(told); cameras.ghosts = ['reset', 'ready'].includes(told?.state); },
};
const TOLD = {
  state({ part, value }) { (PARTS[part] ?? view[part].bind(view))(value); },
  seat(told) { seat = told.seat; view.seat(told); trial.allow(seat !== 'other'); },
  sample(told) { plots.sample(told); },
  chunk(told) { plots.chunk(told); },
  forget() { plots.forget(); },
  notice(told) { say(told); },
};
link.addEventListener('message', ({ detail }) => TOLD[detail.type]?.(detail));
link.addEventListener('picture', ({ detail }) => cameras.hear(detail));
link.addEventListener('delay', ({ detail }) => { view.link(true, detail); cameras.delay = detail / 2; });
link.addEventListener('open', () => { view.link(true); watch(); });
link.addEventListener('closed', () => { view.link(false); trial.allow(false); });
link.addEventListener('unpaired', begin);

async function begin() {
  await admitted();
  link.open();
}

begin();

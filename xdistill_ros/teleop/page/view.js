// What the page shows of the state. Reads no input and sends nothing.

import { showLink } from './bar.js';

const at = (id) => document.getElementById(id);
const PICTURE_OLD_MS = 1500;

export class View {
  constructor() {
    this.pictured = 0;
    this.working = false;
    setInterval(() => this.age(), 500);
  }

  /** The whole state, as the server tells it. */
  show(state) {
    at('rig').textContent = state.rig.replaceAll('_', ' ');
    this.mode(state.mode);
    this.clutch(state);
    this.recorder(state.recorder);
    at('seat').textContent = { free: 'Nobody steers. Press the clutch to take the helm.', you: 'You steer.',
      other: 'Another page steers; you watch.' }[state.seat] + (state.pages > 1 ? ` ${state.pages} pages are open.` : '');
    at('leave').disabled = state.seat !== 'you';
    for (const id of ['arm-home', 'arm-reset', 'arm-engage', 'scale', 'yaw']) at(id).disabled = state.seat === 'other';
    this.settings(state);
    at('refusal').hidden = !state.refusal;
    at('refusal').textContent = state.refusal?.sentence ?? '';
    at('grip').textContent = state.opening > 0.5 ? 'Close gripper' : 'Open gripper';
  }

  mode(mode) {
    const pill = at('mode');
    pill.textContent = mode || 'no arm';
    pill.title = mode || 'arm_bridge_node says nothing';
    pill.className = `pill ${mode === 'teleop' ? 'good' : mode.startsWith('stopped') || !mode ? 'bad' : ''}`;
  }

  clutch({ engaged, limit, refusal }) {
    const held = engaged ? (limit ? 'limit' : 'held') : refusal ? 'lost' : 'open';
    at('stage').dataset.clutch = held;
    at('clutch').textContent = { held: 'Clutch held', limit: 'At the edge of the workspace', lost: 'Arm let go',
      open: 'Clutch open' }[held];
  }

  recorder(recorder) {
    const known = recorder && recorder.state !== 'gone';
    document.body.classList.toggle('recording', recorder?.state === 'recording');
    at('episodes').textContent = known ? recorder.episodes : '–';
    at('seconds').textContent = known ? clock(recorder.seconds) : '–';
    at('task-stage').textContent = (known && recorder.stage) || '–';
    at('recorder-state').textContent = recorder?.state ?? 'no recorder';
    at('recorder-says').textContent = recorder?.message ?? '';
    at('record').textContent = recorder?.state === 'recording' ? 'Stop' : 'Start';
    at('record').disabled = !known || recorder.state === 'saving';
    at('discard').disabled = at('mark').disabled = recorder?.state !== 'recording';
  }

  /** The sliders follow the state, but not while they are moved. */
  settings({ scale, yaw_rad }) {
    const degrees = Math.round(yaw_rad * 180 / Math.PI);
    if (document.activeElement !== at('scale')) at('scale').value = scale;
    if (document.activeElement !== at('yaw')) at('yaw').value = degrees;
    at('scale-shown').textContent = `${scale.toFixed(2)} ×`;
    at('yaw-shown').textContent = `${degrees}° ${facing(degrees)}`;
  }

  /** A JPEG of the camera; one that comes while another is being drawn is left out. */
  async picture(blob) {
    this.pictured = performance.now();
    if (this.working) return;
    this.working = true;
    const old = at('picture').src;
    at('picture').src = URL.createObjectURL(blob);
    if (old) URL.revokeObjectURL(old);
    await at('picture').decode().catch(() => undefined);
    this.working = false;
  }

  age() {
    const old = performance.now() - this.pictured > PICTURE_OLD_MS;
    at('no-picture').hidden = !old;
    at('picture').style.opacity = old ? 0.25 : 1;
  }

  link(up, delay) {
    showLink(up, delay);
    if (!up) this.mode('');
  }
}

/** Minutes and seconds. */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

function facing(degrees) {
  const turned = Math.abs(degrees);
  return turned <= 45 ? 'as the arm' : turned >= 135 ? 'towards the arm' : degrees > 0 ? 'to its left' : 'to its right';
}

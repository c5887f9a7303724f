// What the page shows of the graph's state, part by part. Reads no input and sends nothing.

import { showLink } from './bar.js';

const at = (id) => document.getElementById(id);
const TONES = { policy: 'good', teleop: 'good', home: 'good', hold: 'warn', shadow: 'warn', stopped: 'bad' };
const WORDS = { policy: 'Policy moves the arm', teleop: 'A hand moves the arm', home: 'Going home', hold: 'Holding', stopped: 'Stopped' };
const SEATS = { free: 'Nobody operates', you: 'You operate', other: 'Another page operates' };
const LEVELS = ['good', 'warn', 'bad', 'silent'];

export class View {
  rig({ name, simulated }) {
    at('rig').textContent = name.replaceAll('_', ' ');
    at('rig').title = simulated ? 'a simulated table' : 'a real arm';
    document.title = `${name} · dashboard`;
  }

  /** `hold (reason: sentence)`, or a mode alone. */
  mode(mode) {
    const [, word = '', reason = '', why = ''] = /^(\w*)(?: \((\w+)(?:: (.*))?\))?$/.exec(mode) ?? [null, mode];
    at('mode').dataset.tone = TONES[word] ?? 'bad';
    at('mode-word').textContent = mode ? WORDS[word] ?? mode : 'No arm';
    at('mode-why').textContent = mode ? why || reason.replaceAll('_', ' ') : 'arm_bridge_node says nothing';
    at('mode-why').title = reason;
    for (const [id, when] of [['engage', ['hold']], ['disengage', ['policy', 'teleop', 'home']], ['reset', ['stopped']]]) {
      at(id).classList.toggle('primary', when.includes(word));
    }
  }

  seat({ seat, pages }) {
    at('seat').textContent = SEATS[seat] + (pages > 1 ? ` · ${pages} pages` : '');
    at('seat').dataset.seat = seat;
    at('seat-button').textContent = { free: 'Operate', you: 'Give up', other: 'Take over' }[seat];
    for (const id of ['engage', 'disengage', 'home', 'release', 'reset', 'record', 'discard', 'mark']) at(id).classList.toggle('theirs', seat === 'other');
  }

  recorder(told) {
    at('recorder').hidden = !told;
    this.recording = told?.state === 'recording';
    at('recorder').classList.toggle('recording', this.recording);
    if (!told) return;
    at('episodes').textContent = told.episodes ?? '–';
    at('seconds').textContent = told.seconds ? `${Number(told.seconds).toFixed(0)} s` : '–';
    at('gaps').textContent = told.gaps ?? '–';
    at('recorder-state').textContent = told.state;
    at('recorder-says').textContent = told.message;
    at('record').textContent = this.recording ? 'Save' : 'Record';
    at('record').disabled = told.state === 'saving';
    at('discard').disabled = at('mark').disabled = !this.recording;
  }

  /** Median and 99th percentile, as bars on one scale. */
  stages(stages) {
    const longest = Math.max(...stages.map(([, , p99]) => p99), 1);
    fill('stages', stages.map(([name, median, p99]) => {
      const row = make('div', 'stage');
      row.append(make('span', '', name), make('b', '', `${figure(median)} ms`));
      const bar = make('i', 'bar');
      bar.style.setProperty('--median', `${100 * median / longest}%`);
      bar.style.setProperty('--p99', `${100 * p99 / longest}%`);
      bar.title = `99 of 100 within ${figure(p99)} ms`;
      row.append(bar);
      return row;
    }));
  }

  streams(streams) {
    fill('streams', streams.map(({ node, what, hz, lost }) => {
      const row = make('div', 'stream'), name = make('span', '', what);
      name.append(make('small', '', node.replace(/_node$/, '').replaceAll('_', ' ')));
      row.append(name, make('span', 'lost', lost ? `${lost} lost` : ''), make('b', '', `${hz.toFixed(1)} Hz`));
      return row;
    }));
  }

  nodes(nodes) {
    fill('nodes', nodes.map(({ name, state, level, message }) => {
      const row = make('div', 'node');
      row.dataset.level = LEVELS[level] ?? 'bad';
      row.append(make('i', 'dot'), make('span', '', name.replace(/_node$/, '').replaceAll('_', ' ')), make('b', '', state));
      row.title = message;
      if (level > 0) row.append(make('p', '', message));
      return row;
    }));
  }

  interventions(counts) {
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    at('interventions').textContent = total ? `${total} interventions` : 'no interventions';
    at('interventions').title = Object.entries(counts).map(([reason, count]) => `${reason}: ${count}`).join('\n');
  }

  refusals(counts) { at('log-title').title = Object.entries(counts).map(([reason, count]) => `${reason}: ${count}`).join('\n'); }

  log(events) {
    fill('log', events.slice(0, 40).map(({ at_s, kind, text, times }) => {
      const row = make('li', kind);
      row.append(make('time', '', new Date(at_s * 1000).toTimeString().slice(0, 8)), make('span', '', text), make('b', '', times > 1 ? `× ${times}` : ''));
      return row;
    }));
  }

  teleop(told) {
    at('teleop').hidden = !told;
    if (!told) return;
    at('teleop-code').textContent = told.code.replace(/(...)(...)/, '$1 $2');
    at('teleop-address').textContent = told.address;
    at('teleop-pages').textContent = Number(told.pages) ? `${told.pages} connected.` : '';
  }

  link(up, delay) {
    showLink(up, delay);
    document.body.classList.toggle('away', !up);
    if (!up) this.mode('');
  }
}

function make(tag, name, text = '') {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

function fill(id, rows) { if (rows.length) at(id).replaceChildren(...rows); }
function figure(ms) { return ms < 10 ? ms.toFixed(1) : ms.toFixed(0); }

// The trial's pane: what is to be done now, and the buttons for it. `ask` sends what was pressed.

const at = (id) => document.getElementById(id);
const STATES = { reset: 'Getting ready', ready: 'Ready to run', running: 'Running', score: 'How did it go?', finished: 'All done', refused: 'Refused' };
const SETTLED_MS = 400; // so long a state must have stood before a gamepad's button counts for it

export class Trial {
  constructor(ask) {
    this.ask = ask;
    this.told = null;
    this.allowed = true;
    this.since = 0;
    at('begin').onclick = () => this.call('begin');
    at('undo').onclick = () => this.call('undo');
    at('success').onclick = () => this.score(true);
    at('failure').onclick = () => this.score(false);
    at('note').onclick = () => this.words((note) => ({ type: 'note', note }), 'Write the note first');
    at('void').onclick = () => this.words((reason) => ({ type: 'void', reason }), 'Write first why it is void');
  }

  /** /trial/status; null without a trial_node. */
  show(told) {
    at('trial').hidden = !told;
    if (told?.state !== this.told?.state) {
      this.since = performance.now();
      this.reached = null;
    }
    this.told = told;
    if (!told) return;
    this.progress(told);
    at('trial').dataset.state = told.state;
    at('trial-state').textContent = STATES[told.state] ?? told.state;
    const attempt = Number(told.attempt) > 1 ? ` · attempt ${told.attempt}` : '';
    at('trial-what').textContent = [told.task, told.condition, told.policy && `policy ${told.policy}`].filter(Boolean).join(' · ').replaceAll('_', ' ') + attempt;
    at('trial-says').textContent = this.sentence(told);
    at('trial-last').textContent = told.last ? `Last: ${told.last}` : '';
    this.stages(told);
    this.enable();
  }

  sentence({ state, instructions, success_criterion, message }) {
    if (state === 'reset' || state === 'ready') return [message, instructions].filter(Boolean).join('\n');
    if (state === 'running' || state === 'score') return success_criterion ? `Success: ${success_criterion}` : message ?? '';
    return message ?? '';
  }

  progress({ protocol, done, planned, state, seconds, time_limit_s }) {
    at('trial-count').textContent = `${protocol ? `${protocol} · ` : ''}${done ?? 0} of ${planned ?? 0}`;
    at('trial-bar').style.width = `${100 * Number(done) / (Number(planned) || 1)}%`;
    at('trial-clock').hidden = state !== 'running';
    at('trial-seconds').textContent = `${Number(seconds || 0).toFixed(0)} of ${Number(time_limit_s || 0).toFixed(0)} s`;
    at('trial-time').style.width = `${Math.min(100 * Number(seconds) / (Number(time_limit_s) || 1), 100)}%`;
  }

  /** The stages in order; while scoring they are buttons for the furthest one that was reached. */
  stages({ stages, stage, state }) {
    const names = (stages || '').split(',').filter(Boolean);
    const reached = ['running', 'score'].includes(state) ? names.indexOf(this.reached ?? stage) : -1;
    at('trial-stages').replaceChildren(...names.map((name, n) => {
      const chip = document.createElement('button');
      chip.textContent = name.replaceAll('_', ' ');
      chip.className = n <= reached ? 'reached' : '';
      chip.disabled = state !== 'score' || !this.allowed;
      chip.onclick = () => { this.reached = this.reached === name ? '' : name; this.show(this.told); };
      return chip;
    }));
  }

  allow(allowed) {
    this.allowed = allowed;
    if (this.told) this.show(this.told);
  }

  enable() {
    const { state, can_undo, done } = this.told;
    at('trial-begin').hidden = state !== 'ready';
    at('trial-score').hidden = state !== 'score';
    for (const id of ['begin', 'success', 'failure']) at(id).disabled = !this.allowed;
    at('undo').disabled = can_undo !== '1' || !this.allowed;
    at('note').disabled = !(Number(done) > 0) || !this.allowed;
    at('void').disabled = !['running', 'score'].includes(state) || !this.allowed;
  }

  call(action) { this.ask({ type: 'call', action }); }

  score(success) {
    const stages = (this.told.stages || '').split(',');
    const stage = this.reached ?? (success ? stages.at(-1) : this.told.stage) ?? '';
    this.ask({ type: 'score', success, stage, note: at('trial-words').value });
    at('trial-words').value = '';
  }

  words(message, missing) {
    const field = at('trial-words'), text = field.value.trim();
    field.setCustomValidity(text ? '' : missing);
    if (!field.reportValidity()) return;
    this.ask(message(text));
    field.value = '';
  }

  /** A gamepad's button. */
  press(button) {
    if (!this.told || !this.allowed || performance.now() - this.since < SETTLED_MS) return;
    const { state } = this.told;
    if (button === 'undo' && !at('undo').disabled) this.call('undo');
    else if (button === 'yes' && state === 'ready') this.call('begin');
    else if (state !== 'score') return;
    else if (button === 'yes' || button === 'no') this.score(button === 'yes');
    else if (button === 'further' || button === 'nearer') this.move(button === 'further' ? 1 : -1);
  }

  move(by) {
    const names = ['', ...(this.told.stages || '').split(',').filter(Boolean)];
    const now = Math.max(names.indexOf(this.reached ?? this.told.stage ?? ''), 0);
    this.reached = names[Math.min(Math.max(now + by, 0), names.length - 1)];
    this.show(this.told);
  }
}

// What every page's bar says: how the link is, and a sentence for a moment.

const SAID_MS = 4000;
const link = document.getElementById('link');
const said = document.getElementById('said');
let passing;

/** Whether the server is heard, and how many milliseconds a question takes to be answered. */
export function showLink(up, delay) {
  link.textContent = !up ? 'connecting' : delay === undefined ? 'connected' : `${delay.toFixed(0)} ms`;
  link.dataset.up = up ? 'yes' : 'no';
}

/** A sentence for a moment. */
export function say({ ok, text }) {
  if (!text) return;
  said.textContent = text;
  said.hidden = false;
  said.classList.toggle('bad', !ok);
  clearTimeout(passing);
  passing = setTimeout(() => { said.hidden = true; }, SAID_MS);
}

// Until this browser is let in: the form for the six digits.

import { paired } from './link.js';

const form = document.getElementById('pair-form');
const code = document.getElementById('code');
const said = document.getElementById('pair-said');

/** Resolves when the browser is paired, and shows the room then; asks for the code where it has to. */
export async function admitted() {
  let known = await paired();
  while (known === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    known = await paired();
  }
  if (!known) await pair();
  document.getElementById('room').hidden = false;
}

function pair() {
  document.getElementById('pairing').hidden = false;
  document.getElementById('room').hidden = true;
  code.value = '';
  code.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (!await attempt()) return;
      document.getElementById('pairing').hidden = true;
      resolve();
    };
    code.oninput = () => { if (/^\d{6}$/.test(code.value)) form.requestSubmit(); };
  });
}

async function attempt() {
  said.textContent = '';
  try {
    const answer = await fetch('/pair', { method: 'POST', body: JSON.stringify({ code: code.value }) });
    if (answer.ok) return true;
    said.textContent = answer.status === 403 && answer.headers.get('Content-Type').includes('json')
      ? (await answer.json()).sentence : await answer.text();
  } catch {
    said.textContent = 'The server does not answer; is its node up?';
  }
  code.select();
  return false;
}

// The form for the six digits.

const form = document.getElementById('pair-form');
const code = document.getElementById('code');
const said = document.getElementById('pair-said');

/** Shows the form; resolves when the browser is paired. */
export function pair() {
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

// The socket to the page's node: opens it again when it closes, measures the way there and back. Knows no meanings.

const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 5000, PING_MS = 1000;
const FULL_BYTES = 8192; // so much waits when the network stands still; samples that would come late are not sent

export class Link extends EventTarget {
  /** Events: `open`, `closed`, `message` (detail: object), `picture` (detail: Blob), `delay` (detail: ms). */
  constructor() {
    super();
    this.wait = FIRST_WAIT_MS;
    setInterval(() => this.send({ type: 'ping', time_ms: performance.now() }), PING_MS);
  }

  open() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.socket = new WebSocket(`${scheme}://${location.host}/socket`);
    this.socket.binaryType = 'blob';
    this.socket.onopen = () => { this.wait = FIRST_WAIT_MS; this.say('open'); };
    this.socket.onmessage = (event) => this.hear(event.data);
    this.socket.onclose = () => this.closed();
  }

  get up() { return this.socket?.readyState === WebSocket.OPEN; }

  /** Sends now or not at all; whether it did. */
  send(message) {
    if (!this.up || this.socket.bufferedAmount > FULL_BYTES) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  hear(data) {
    if (typeof data !== 'string') return this.say('picture', data);
    const message = JSON.parse(data);
    if (message.type === 'pong') return this.say('delay', performance.now() - message.time_ms);
    return this.say('message', message);
  }

  async closed() {
    this.say('closed');
    await new Promise((resolve) => setTimeout(resolve, this.wait));
    this.wait = Math.min(this.wait * 1.6, LONGEST_WAIT_MS);
    if (await paired() === false) this.say('unpaired');
    else this.open();
  }

  say(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

/** Whether this browser is paired; undefined while the server does not answer. */
export async function paired() {
  try {
    return (await (await fetch('/session')).json()).paired;
  } catch {
    return undefined;
  }
}

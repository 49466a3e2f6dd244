// Asking the server: JSON, events, and a key where it wants one.

const KEY = "buckler.key";
const form = document.getElementById("key");
const text = document.getElementById("key-text");
const message = document.getElementById("key-message");
let entered = null;

/** An answer other than the one asked for, with the server's own words. */
export class Refused extends Error {
  constructor(words, field) {
    super(words);
    this.field = field;
  }
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** The answer as JSON. */
export async function ask(path, options) {
  return (await send(path, options)).json();
}

/** The events of an answer, as they come: EventSource cannot send an image. */
export async function* events(path, options) {
  const headers = { accept: "text/event-stream" };
  const response = await send(path, { ...options, headers });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const of = (name) => block.split("\n").filter((line) => line.startsWith(name)).map((line) => line.slice(name.length).trim());
      const [event] = of("event:");
      if (event) yield { event, data: JSON.parse(of("data:").join("\n")) };
    }
  }
}

async function send(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    const refused = await words(response);
    if (response.status !== 401) throw refused;
    await keyAfter(refused.message, options.signal);
  }
}

async function words(response) {
  try {
    const { error } = await response.json();
    return new Refused(error.message ?? error, error.field);
  } catch {
    return new Refused(`The server answered with status ${response.status}.`);
  }
}

/** Until somebody has entered a key; one entry serves all who wait for it. */
async function keyAfter(reason, signal) {
  message.textContent = reason;
  form.hidden = false;
  text.focus();
  entered ??= new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, text.value);
      text.value = "";
      form.hidden = true;
      entered = null;
      resolve();
    };
  });
  await Promise.race([entered, aborted(signal)]);
}

function aborted(signal) {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

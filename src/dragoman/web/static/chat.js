// The chat page: one WebSocket, every line shown once, what was not accepted is sent again.

const lines = document.getElementById("lines");
const composer = document.getElementById("composer");
const field = document.getElementById("text");
const state = document.getElementById("state");

const REFUSED = 1008;  // the service will not have this page: its cookie or its token is missing
const shown = new Map();   // our id of a line -> its element
const unsent = new Map();  // our own id of a frame -> the frame, until the service has accepted it
let socket = null;
let failures = 0;

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/chat/socket`);
  socket.onopen = () => { failures = 0; report("open", "connected"); };
  socket.onclose = (closing) => {
    if (closing.code === REFUSED) {
      report("closed", "not allowed: open the chat by its link, or reload the page");
      return;
    }
    report("closed", "reconnecting…");
    failures += 1;
    setTimeout(connect, Math.min(15000, 300 * 2 ** failures) * (0.5 + Math.random() / 2));
  };
  socket.onmessage = (message) => receive(JSON.parse(message.data));
}

function report(value, words) {
  state.dataset.state = value;
  state.textContent = words;
}

function receive(frame) {
  if (frame.type === "history") {
    frame.lines.forEach(show);
    unsent.forEach((pending) => transmit(pending));
  } else if (frame.type === "message") {
    show(frame);
  } else if (frame.type === "accepted") {
    settle(frame.about, (element) => {
      const known = shown.get(frame.id);  // it may be this one: what was sent twice is accepted twice
      if (known && known !== element) element.remove(); else shown.set(frame.id, element);
    });
  } else if (frame.type === "error") {
    settle(frame.about, (element) => element.classList.add("failed"));
    note(frame.text);
  }
}

function settle(about, then) {
  unsent.delete(about);
  const element = document.querySelector(`[data-frame="${CSS.escape(about ?? "")}"]`);
  if (element) { element.classList.remove("pending"); then(element); }
}

function show(line) {
  if (shown.has(line.id)) return;
  const element = bubble(line.by);
  if (line.by === "bot") {
    element.innerHTML = line.html;  // rendered and escaped by the service; the page's policy forbids scripts in it
    if (line.buttons?.length) element.append(choices(line.buttons));
  } else {
    element.textContent = line.text;
  }
  shown.set(line.id, element);
  add(element);
}

function choices(buttons) {
  const row = document.createElement("div");
  row.className = "choices";
  for (const choice of buttons) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = choice.text;
    button.onclick = () => {
      if (!choice.url) say(choice.text, choice.value);
      else if (/^https?:/i.test(choice.url)) open(choice.url, "_blank", "noopener,noreferrer");
    };
    row.append(button);
  }
  return row;
}

function bubble(by) {
  const element = document.createElement("div");
  element.className = `line ${by}`;
  return element;
}

function note(words) {
  const element = document.createElement("p");
  element.className = "note";
  element.textContent = words;
  add(element);
}

function add(element) {
  document.getElementById("welcome")?.remove();
  lines.append(element);
  element.scrollIntoView({ block: "end" });
}

function say(words, value = "") {
  const frame = {
    id: crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random()}`,
    text: words,
    value,
    locale: navigator.language,
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
  const element = bubble("person");
  element.textContent = words;
  element.dataset.frame = frame.id;
  element.classList.add("pending");
  add(element);
  unsent.set(frame.id, frame);
  transmit(frame);
}

function transmit(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = field.value.trim();
  if (!words) return;
  field.value = "";
  field.style.height = "";
  say(words);
});

field.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});

field.addEventListener("input", () => {
  field.style.height = "";
  field.style.height = `${field.scrollHeight}px`;
});

connect();

// Record, and what became of it: play it, save a copy, show it in its folder, verify its mark; keep what was cut off.

import { advise } from "./advice.js";
import { choices, watchChoices } from "./choices.js";
import { byId, setText, tell } from "./dom.js";
import { change, live, reached, running, value, watch } from "./run.js";
import { request } from "./server.js";

const MOST_PLAYED_BYTES = 400e6; // a larger file is not fetched into the page

let known; // name of the last recording that was told; undefined before the first report
let address = "";
const settled = new Set(); // names of cut off recordings that were kept or deleted here
const dialog = byId("recorded");
const button = byId("recording");

function show() {
  const recording = Boolean(value("recording"));
  button.disabled = !running();
  button.hidden = live.state === "off";
  button.setAttribute("aria-pressed", String(recording));
  tick();
  if (live.recorded === undefined) return;
  const name = live.recorded?.name ?? null;
  if (known !== undefined && name && name !== known) open(live.recorded);
  known = name;
}

function tick() {
  if (!reached) return; // whether it still records is not known
  const since = live.recording?.since_s;
  setText(button.lastChild, since && value("recording") ? clock(Date.now() / 1000 - since) : "Record");
}

const clock = (seconds) => `${Math.floor(Math.max(0, seconds) / 60)}:${String(Math.floor(Math.max(0, seconds) % 60)).padStart(2, "0")}`;

async function open({ name, seconds, bytes }) {
  for (const id of ["recorded-verdict", "recorded-problem"]) tell(byId(id), "");
  setText(byId("recorded-about"), `${name} · ${clock(seconds)} · ${(bytes / 1e6).toFixed(1)} MB`);
  const plays = bytes <= MOST_PLAYED_BYTES;
  for (const id of ["recorded-video", "recorded-save"]) byId(id).hidden = !plays;
  if (!dialog.open) dialog.showModal();
  byId("recorded-show").onclick = () => attempt(() => request("POST", `${path(name)}/show`));
  byId("recorded-verify").onclick = () => attempt(async () => tell(byId("recorded-verdict"), verdict(await request("POST", `${path(name)}/verify`))));
  if (plays) attempt(() => load(name));
}

const verdict = ({ words, notes = [] }) => [...words, ...notes].join("\n");
const path = (name) => `/api/dashboard/recordings/${encodeURIComponent(name)}`;

async function load(name) {
  const file = await request("GET", path(name));
  forget();
  address = URL.createObjectURL(file);
  byId("recorded-video").src = address;
  Object.assign(byId("recorded-save"), { href: address, download: name });
}

function forget() {
  byId("recorded-video").removeAttribute("src");
  byId("recorded-save").removeAttribute("href");
  if (address) URL.revokeObjectURL(address);
  address = "";
}

async function attempt(act) {
  tell(byId("recorded-problem"), "");
  try {
    await act();
  } catch (error) {
    tell(byId("recorded-problem"), error.message);
  }
}

/** Of a visavis that was killed: nothing says so but this. */
function offerCutOff() {
  for (const { name, bytes } of choices.cut_off) {
    if (!settled.has(name)) offer(name, `A recording was cut off, since visavis ended in the middle of it: ${title(name)}, ${(bytes / 1e6).toFixed(1)} MB.`);
  }
}

function offer(name, text, again = true) {
  const act = (method, address, then) => async () => {
    try {
      const answer = await request(method, address);
      settled.add(name);
      advise(`cut off ${name}`, "");
      then(answer);
    } catch (error) {
      offer(name, error.message, false);
    }
  };
  const keep = ["Keep it", act("POST", `${path(name)}/keep`, open)];
  advise(`cut off ${name}`, text, [...(again ? [keep] : []), ["Delete it", act("DELETE", path(name), () => {})]]);
}

const title = (name) => name.replace(/\.\d+\.part\.mp4$/, "");

watchChoices(offerCutOff);
button.onclick = () => change({ recording: !value("recording") });
byId("recorded-close").onclick = () => dialog.close();
dialog.onclose = forget;
setInterval(tick, 500);
watch(show);

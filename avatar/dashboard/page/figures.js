// For engineers: figures of each second, their graph, the engine and what it said.

import { choices, watchChoices } from "./choices.js";
import { byId, make, setText } from "./dom.js";
import { paintGraph } from "./graph.js";
import { label } from "./label.js";
import { change, live, reached, start, stop, value, watch } from "./run.js";

const KEPT_S = 120;
const LINES = 50;

let seconds = [];
let seen = new Set(); // lines
let state = "off";
let engine = null; // chosen, and not running yet

export function secondArrived(second) {
  seconds = [...seconds, second].slice(-KEPT_S);
  setText(byId("fps"), second.fps.toFixed(1));
  setText(byId("latency"), Math.round(second.p50_ms).toString());
  setText(byId("slowest"), Math.round(second.p99_ms).toString());
  setText(byId("drops"), second.drops.toString());
  byId("drops").title = Object.entries(second.dropped).map(([hop, count]) => `${hop}: ${count}`).join("\n");
  setText(byId("level"), second.level ? `Work of a picture: ${second.level}.` : "");
  draw();
}

function showEngines() {
  const option = ({ id, name, problem }) =>
    make("option", { value: id, disabled: Boolean(problem), title: problem ?? "" }, problem ? `${name} (not here)` : name);
  byId("engine-choice").replaceChildren(...choices.engines.map(option));
  show();
}

function show() {
  if (live.state === "starting" && state !== "starting") [seconds, seen] = [[], new Set()];
  state = live.state;
  if (live.seconds?.length && seconds.length === 0) seconds = live.seconds;
  if (state === "off" || !reached) for (const id of ["fps", "latency", "slowest", "drops"]) setText(byId(id), "–");
  const runs = live.engine;
  setText(byId("engine"), runs ? `${runs.backend} on ${runs.device}, ${runs.precision}` : "");
  byId("engine").title = live.engine_line ?? "";
  byId("engine-choice").value = engine ?? value("engine");
  byId("restart").hidden = state !== "running" || [null, live.wish.engine].includes(engine);
  showLog(live.said ?? []);
  draw();
}

function showLog(lines) {
  const log = byId("log");
  for (const line of lines.filter((line) => !seen.has(line))) {
    seen.add(line);
    log.append(make("p", {}, line));
    while (log.children.length > LINES) log.firstChild.remove();
  }
}

function draw() {
  if (byId("figures-details").open) paintGraph(byId("graph"), seconds);
}

byId("engine-choice").onchange = ({ target }) => {
  engine = target.value;
  if (state === "off") change({ engine });
  show();
};
byId("restart").onclick = async () => {
  const { avatar } = live.wish;
  await stop();
  while (live.state !== "off") await new Promise((resolve) => setTimeout(resolve, 100));
  await change({ engine });
  engine = null;
  await start(avatar, label());
};
byId("figures-details").ontoggle = draw;
new ResizeObserver(draw).observe(byId("graph"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
watch(show);
watchChoices(showEngines);

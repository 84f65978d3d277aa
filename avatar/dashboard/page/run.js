// What runs on visavis, and what this page wants of it: settings take effect at once, or from the next start on.

import { request } from "./server.js";

const LIVE = "/api/dashboard/live";
const KEPT = "wish"; // in the browser: what was chosen stays chosen
const FIRST = { engine: "auto", size: "512x512", background: "portrait", mirror: false, follow: false, expression: "auto", remember: false };

/** The newest report of visavis. `reached`: whether it answers. */
export let live = { state: "off", wish: null, controls: null };
export let reached = false;
/** Looks for visavis at once, where it does not answer. */
export let retry = () => {};

const wish = { ...FIRST, ...read() }; // of the next start
const watchers = [];
let pending = {}; // to be asked for
let underway = {}; // asked for, and not answered yet
let sending = Promise.resolve(true);
let failed = () => {};

/** act() is called whenever something about the run has changed. */
export const watch = (act) => watchers.push(act);
/** act(sentence) is told what went wrong, or "" once something went well. */
export const onFailure = (act) => (failed = act);

export function runArrived(report) {
  live = report;
  reached = true;
  if (live.state === "off") pending = {};
  tellAll();
  if (live.state === "running") send();
}

export function runLost(retryNow) {
  reached = false;
  retry = retryNow;
  pending = {};
  tellAll();
}

export const running = () => reached && live.state === "running";

/** What holds for `key` now, or is about to. */
export function value(key) {
  return (live.state === "off" ? wish : { ...live.wish, ...live.controls, ...underway, ...pending })[key];
}

/** Have it so from now on, as in {size: "1280x720"}. Resolves to whether it is so. */
export function change(wanted) {
  keep(wanted);
  if (live.state !== "off") Object.assign(pending, wanted);
  tellAll();
  return live.state === "running" ? send() : Promise.resolve(true); // while it starts: as soon as it runs
}

/** What quick clicks ask for goes in one request, after the one that is on its way. */
function send() {
  sending = sending.then(async () => {
    if (Object.keys(pending).length === 0) return true;
    [underway, pending] = [pending, {}];
    try {
      await request("PATCH", LIVE, underway);
      failed(""); // what went wrong before is past
      live = { ...live, wish: { ...live.wish, ...underway }, controls: { ...live.controls, ...underway } }; // as its report will say
      return true;
    } catch (error) {
      keep(live.wish ?? {});
      failed(error.message);
      return false;
    } finally {
      underway = {};
      tellAll();
    }
  });
  return sending;
}

/** Begin with this face, which idles until a camera moves it. */
export async function start(avatar, label) {
  await ask("POST", LIVE, { ...wish, label, avatar, camera: "" });
}

export const stop = () => ask("DELETE", LIVE);

/** What was learnt of faces is deleted. */
export const forget = () => ask("DELETE", "/api/dashboard/drivers");

async function ask(method, path, body) {
  try {
    await request(method, path, body);
    failed("");
  } catch (error) {
    failed(error.message);
  }
}

function tellAll() {
  for (const act of watchers) act();
}

function keep(chosen) {
  for (const key of Object.keys(FIRST)) if (key in chosen) wish[key] = chosen[key];
  const { background } = wish; // a picture is forgotten when visavis ends
  localStorage.setItem(KEPT, JSON.stringify({ ...wish, background: background === "picture" ? FIRST.background : background }));
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    return Object.fromEntries(Object.entries(kept).filter(([key, text]) => typeof text === typeof FIRST[key]));
  } catch {
    return {};
  }
}

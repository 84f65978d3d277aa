// A guest's side of the call: who invites, one's own picture before anybody else sees it, the call, and the way out.

import { NOBODY } from "./call_state.js";
import { byId, setText, tell } from "./dom.js";
import { Tile } from "./member.js";
import { OwnMedia } from "./own_media.js";
import { OwnState } from "./own_state.js";
import { People, say } from "./people.js";
import { full } from "./room.js";
import { request } from "./server.js";

const LOCK = "visavis-call"; // held by the tab that is in a call
const KINDS = { audio: "join-microphone", video: "join-camera" };

let host = "";
let viewers = null; // who gets what this guest shows, while in the call
let changed = () => {}; // the own camera or microphone, while in the call
const media = new OwnMedia((kind, track, problem) => {
  viewers?.send(kind, track);
  byId("own-preview").srcObject = media.camera ? media.stream : null;
  showPreview();
  if (problem) tell(byId(viewers ? "call-problem" : "join-problem"), problem);
  changed();
});

export async function joinAsGuest() {
  byId("guest-name").value = localStorage.getItem("name") ?? "";
  byId("join").onsubmit = (event) => {
    event.preventDefault();
    join();
  };
  byId("join-microphone").onclick = () => toggle("audio");
  byId("join-camera").onclick = () => toggle("video");
  byId("over-again").onclick = prepare;
  byId("leave").hidden = false;
  byId("full-screen").hidden = !document.fullscreenEnabled;
  byId("full-screen").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : byId("call").requestFullscreen());
  document.addEventListener("fullscreenchange", () => setText(byId("full-screen"), document.fullscreenElement ? "Leave full screen" : "Full screen"));
  await prepare();
}

/** Before joining: who invites, and one's own picture. */
async function prepare() {
  try {
    const { name, people, most } = await request("GET", "/api/invitation");
    host = name === NOBODY ? "" : name;
    if (people >= most) return showOver("You are not in the call", full(most));
  } catch (error) {
    const ended = error.status === 401 || error.status === 403;
    const why = "It changes whenever its host starts visavis. Ask for a new one.";
    return showOver(...(ended ? ["This invitation has ended", why] : ["You are not in the call", error.message]));
  }
  document.title = host ? `Call with ${host}` : "Call";
  for (const id of ["over", "in-call"]) byId(id).hidden = true;
  byId("join").hidden = false;
  byId("call-state").hidden = true;
  setText(byId("call-title"), host ? `${host} invites you to a call` : "You are invited to a call");
  setText(byId("join-about"), `${host || "The host"} is shown by an AI avatar: a picture made by a computer, which moves as ${host || "the host"} does. It is marked “AI generated”.`);
  const held = (await navigator.locks?.query())?.held ?? [];
  tell(byId("join-twice"), held.some((lock) => lock.name === LOCK) ? "You are in this call already, in another tab. Go on there, or you will be here twice." : "");
  showPreview("Your browser asks for your camera and microphone. You may say no.");
  tell(byId("join-problem"), await media.ask());
  showPreview();
}

function showOver(title, why, again = "Try again") {
  for (const id of ["join", "in-call", "call-state"]) byId(id).hidden = true;
  byId("over").hidden = false;
  setText(byId("call-title"), title);
  setText(byId("over-why"), why);
  setText(byId("over-again"), again);
  byId("call-title").focus();
}

function showPreview(text = media.camera ? "" : "Your camera is off: the others see your first letter.") {
  tell(byId("preview-say"), text);
  for (const [kind, id] of Object.entries(KINDS)) {
    const on = Boolean(kind === "audio" ? media.microphone : media.camera);
    byId(id).setAttribute("aria-pressed", String(on));
    setText(byId(id), `${kind === "audio" ? "Microphone" : "Camera"} ${on ? "on" : "off"}`);
  }
}

async function toggle(kind) {
  tell(byId("join-problem"), "");
  const button = byId(KINDS[kind]);
  button.disabled = true;
  if (kind === "audio" ? media.microphone : media.camera) media.turnOff(kind);
  else tell(byId("join-problem"), await media.turnOn(kind));
  button.disabled = false;
}

function join() {
  const name = byId("guest-name").value.trim();
  if (!name) return byId("guest-name").focus();
  localStorage.setItem("name", name);
  byId("join").hidden = true;
  for (const id of ["in-call", "call-state"]) byId(id).hidden = false;
  setText(byId("call-title"), host ? `Call with ${host}` : "Call");
  say("");
  let release = () => {};
  navigator.locks?.request(LOCK, { ifAvailable: true }, (lock) => lock && new Promise((resolve) => (release = resolve)));

  const tile = new Tile("mine");
  tile.video.muted = true;
  tile.video.srcObject = media.stream;
  byId("members").append(tile.element);
  const leave = (title, why, again) => {
    release();
    viewers = null;
    changed = () => {};
    people.leave();
    for (const kind of ["audio", "video"]) media.turnOff(kind);
    tile.element.remove();
    if (document.fullscreenElement) document.exitFullscreen();
    showOver(title, why, again);
  };
  const people = new People({ name, kind: "browser" }, (why) => leave("You are not in the call", why));
  const own = new OwnState(
    async (wanted) => {
      await share(wanted);
      people.room.say({ type: "state", ...shared() });
      return shared();
    },
    () => {
      tile.show({ name, ...own.now });
      people.show();
    },
  );
  changed = () => {
    own.take(shared());
    people.room.say({ type: "state", ...shared() });
  };
  byId("leave").onclick = () => leave("You have left the call", "Your camera and microphone are off.", "Join again");
  own.take(shared());
  viewers = people.enter(own, media.stream);
  byId("mute").focus();
}

function shared() {
  return { muted: !media.microphone, camera_on: Boolean(media.camera), showing: media.camera ? "moving" : "nothing" };
}

/** Camera and microphone as `wanted`; what cannot be is said. */
async function share(wanted) {
  tell(byId("call-problem"), "");
  for (const [kind, on] of [["audio", !wanted.muted], ["video", wanted.camera_on]]) {
    if (on) tell(byId("call-problem"), (await media.turnOn(kind)) || byId("call-problem").textContent);
    else media.turnOff(kind);
  }
}


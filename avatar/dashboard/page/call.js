// The call: who is in the room, their pictures and sound, and what this person sends. Messages: avatar/call/server.py.

import { byId, make, setText, tell, whyNoMedia } from "./dom.js";
import { link, openSocket, request } from "./server.js";

const GATHER_MS = 2000; // for the addresses of this computer
const MEND_MS = 2500; // after a link was lost
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const POLL_MS = 3000;

const members = new Map(); // by id: {member, element, video, link, pc}
let socket = null;
let ice = {};
let you = "";
let mine = null; // a guest's own camera and microphone
let answering = new Map(); // of a guest, by "from link": the connection that sends
let state = { muted: false, camera_on: true };
let tries = 0;
let ended = false;

// The room

function enter(hello, refused) {
  callState("Connecting");
  socket = openSocket("/room");
  socket.onopen = () => say({ type: "hello", ...hello });
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = async (event) => {
    closeAll();
    if (ended) return;
    callState("Lost the call: trying again", "bad");
    const told = event.code === 1008 && event.reason; // by the room: that it is full, for example
    if (told) tell(byId("call-problem"), told);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]));
    tries += 1;
    if (tries > RETRY_MS.length && link.role === "guest") {
      callState("Over", "bad");
      const over = "The call is over, or cannot be reached. Ask for a new link, or reload this page to try again.";
      return refused?.(told ? `${told} Reload this page to try again.` : over);
    }
    enter(hello, refused);
  };
}

const say = (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

function receive(message) {
  switch (message.type) {
    case "welcome":
      tries = 0;
      closeAll();
      ({ you, ice } = message);
      callState("In the call", "on");
      tell(byId("call-problem"), "");
      for (const member of message.members) if (member.id !== you) add(member);
      if (link.role === "guest") say({ type: "state", ...state });
      break;
    case "joined":
      if (message.member.id !== you) add(message.member);
      break;
    case "left":
      remove(message.id);
      break;
    case "state":
      if (message.from === you || message.from === "") takeState(message);
      else if (members.has(message.from)) {
        Object.assign(members.get(message.from).member, { muted: message.muted, camera_on: message.camera_on });
        caption(members.get(message.from));
      }
      break;
    case "offer":
      answer(message);
      break;
    case "answer":
      if (members.get(message.from)?.link === message.link) {
        members.get(message.from).pc.setRemoteDescription({ type: "answer", sdp: message.sdp }).catch(() => mend(message.from));
      }
      break;
    case "refuse":
      if (members.get(message.from)?.link === message.link) {
        members.get(message.from).trouble = message.reason;
        caption(members.get(message.from));
        mend(message.from);
      }
      break;
    case "bye":
      forgetAnswer(`${message.from} ${message.link}`);
      break;
    case "candidate":
      addCandidate(message);
      break;
    case "error":
      tell(byId("call-problem"), message.reason);
      break;
  }
  byId("alone").hidden = members.size > 0;
}

function callState(text, mark = "") {
  setText(byId("call-state"), text);
  byId("call-state").className = `pill ${mark}`;
}

// Those whom this person sees

function add(member) {
  remove(member.id);
  const video = make("video", { autoplay: true, playsInline: true, "aria-label": `Picture of ${member.name}` });
  const element = make("li", { className: member.kind === "avatar" ? "member avatar" : "member" }, video, make("p"));
  const one = { member, element, video, link: "", pc: null, trouble: "" };
  members.set(member.id, one);
  byId("members").append(element);
  caption(one);
  connect(one);
}

function remove(id) {
  forgetAnswers(id);
  const one = members.get(id);
  if (!one) return;
  members.delete(id);
  one.pc?.close();
  one.element.remove();
}

function closeAll() {
  for (const id of [...members.keys()]) remove(id);
  for (const key of [...answering.keys()]) forgetAnswer(key);
}

function caption(one) {
  const { member, trouble } = one;
  const words = [member.kind === "avatar" ? `${member.name} (avatar)` : member.name];
  if (member.muted) words.push("muted");
  if (member.camera_on === false) words.push("picture hidden");
  if (trouble) words.push(trouble);
  setText(one.element.lastElementChild, words.join(" · "));
}

async function connect(one) {
  one.pc?.close();
  const pc = (one.pc = newConnection());
  one.link = crypto.randomUUID?.() ?? String(Math.random());
  showTrack(pc, one.video);
  pc.onconnectionstatechange = () => {
    if (one.pc !== pc) return;
    one.trouble = { new: "connecting", connecting: "connecting", disconnected: "connection weak", failed: "reconnecting" }[pc.connectionState] ?? "";
    caption(one);
    if (pc.connectionState === "failed" || pc.connectionState === "disconnected") mend(one.member.id);
  };
  pc.addTransceiver("video", { direction: "recvonly" });
  pc.addTransceiver("audio", { direction: "recvonly" });
  one.trouble = "connecting";
  caption(one);
  await pc.setLocalDescription(await pc.createOffer());
  await gathered(pc);
  if (one.pc === pc && members.get(one.member.id) === one) say({ type: "offer", to: one.member.id, link: one.link, sdp: pc.localDescription.sdp });
}

export const newConnection = () => new RTCPeerConnection(ice);

/** What comes over the connection is shown and heard in `video`. */
export function showTrack(pc, video) {
  const media = new MediaStream();
  video.srcObject = media;
  pc.ontrack = ({ track }) => {
    media.addTrack(track);
    video.play().catch((error) => (byId("hear").hidden = error.name !== "NotAllowedError"));
  };
}

/** Connect anew, unless it mended itself meanwhile. */
function mend(id) {
  const one = members.get(id);
  if (!one || one.mending) return;
  one.mending = setTimeout(() => {
    one.mending = 0;
    if (members.get(id) === one && one.pc.connectionState !== "connected") {
      say({ type: "bye", to: id, link: one.link });
      connect(one);
    }
  }, MEND_MS);
}

export function gathered(pc) {
  return new Promise((resolve) => {
    if (pc.iceGatheringState === "complete") return resolve();
    const timer = setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

window.addEventListener("online", () => {
  for (const one of members.values()) connect(one);
});

// Those who see a guest

async function answer({ from, link: name, sdp }) {
  if (!mine || !members.has(from)) return;
  forgetAnswers(from); // a second offer is a reconnect
  const pc = newConnection();
  answering.set(`${from} ${name}`, pc);
  pc.onconnectionstatechange = () => pc.connectionState === "failed" && answering.get(`${from} ${name}`) === pc && forgetAnswer(`${from} ${name}`);
  try {
    for (const track of mine.getTracks()) pc.addTrack(track, mine);
    await pc.setRemoteDescription({ type: "offer", sdp });
    await pc.setLocalDescription(await pc.createAnswer());
    await gathered(pc);
    if (answering.get(`${from} ${name}`) !== pc) return; // it left meanwhile, or asked anew
    say({ type: "answer", to: from, link: name, sdp: pc.localDescription.sdp });
  } catch (error) {
    if (answering.get(`${from} ${name}`) !== pc) return;
    forgetAnswer(`${from} ${name}`);
    say({ type: "refuse", to: from, link: name, reason: String(error.message).slice(0, 200) });
  }
}

/** Whoever left gets nothing of this guest any more. */
function forgetAnswers(from) {
  for (const key of [...answering.keys()]) if (key.startsWith(`${from} `)) forgetAnswer(key);
}

function forgetAnswer(key) {
  answering.get(key)?.close();
  answering.delete(key);
}

function addCandidate({ from, link: name, candidate }) {
  const pc = answering.get(`${from} ${name}`) ?? (members.get(from)?.link === name ? members.get(from).pc : null);
  pc?.addIceCandidate({ candidate, sdpMLineIndex: 0 }).catch(() => {});
}

// What this person lets others have

function takeState({ muted, camera_on: cameraOn }) {
  state = { muted, camera_on: cameraOn };
  byId("mute").setAttribute("aria-pressed", String(muted));
  byId("camera-off").setAttribute("aria-pressed", String(!cameraOn));
  if (mine) setText(byId("own-caption"), ownCaption());
  for (const track of mine?.getAudioTracks() ?? []) track.enabled = !muted;
  for (const track of mine?.getVideoTracks() ?? []) track.enabled = cameraOn;
}

async function setState(change) {
  const wanted = { ...state, ...change };
  if (link.role === "guest") {
    takeState(wanted);
    say({ type: "state", ...wanted });
    return;
  }
  try {
    takeState(await request("POST", "/api/state", wanted));
    tell(byId("call-problem"), "");
  } catch (error) {
    tell(byId("call-problem"), error.message);
  }
}

byId("mute").onclick = () => setState({ muted: !state.muted });
byId("camera-off").onclick = () => setState({ camera_on: !state.camera_on });
byId("hear").onclick = () => {
  byId("hear").hidden = true;
  for (const video of document.querySelectorAll(".member:not(.mine) video")) video.play().catch(() => {});
};
byId("copy").onclick = async () => {
  byId("invitation").select();
  try {
    await navigator.clipboard.writeText(byId("invitation").value);
    setText(byId("copy"), "Copied");
  } catch {
    setText(byId("copy"), "Press Ctrl+C");
  }
  setTimeout(() => setText(byId("copy"), "Copy"), 2000);
};

// The owner: visavis answers for the avatar; this page sees the others, and lends its microphone and camera

const driving = { microphone: null, camera: null }; // {pc, id, stream}
const MEDIA = { microphone: { audio: true }, camera: { video: { width: 640, height: 480 } } };
let cameraBusy = false;
let cameraTried = false; // for the present session: what was refused is not asked for again and again

export async function joinAsOwner() {
  byId("in-call").hidden = false;
  byId("microphone").hidden = false;
  byId("paste").hidden = false;
  enter({ name: "", kind: "browser" });
  poll();
}

async function poll() {
  try {
    const now = await request("GET", "/api/state");
    takeState(now);
    byId("invite").hidden = !now.invitation;
    byId("invitation").value = now.invitation;
    byId("connections-details").hidden = now.peers.length === 0;
    byId("connections").replaceChildren(...now.peers.map((peer) => make("li", {}, make("span", {}, peer.kind), make("span", {}, peer.state))));
  } catch {
    // the areas above say that visavis is away
  }
  setTimeout(poll, POLL_MS);
}

byId("microphone").onclick = async () => {
  const button = byId("microphone");
  button.disabled = true;
  if (driving.microphone) await stopDriving("microphone");
  else await drive("microphone");
  button.disabled = false;
};

/** This browser's webcam drives the avatar from now on, or no more. */
export async function cameraWanted(wanted) {
  if (!wanted) cameraTried = false;
  if (cameraBusy || (wanted && cameraTried) || wanted === Boolean(driving.camera)) return;
  cameraBusy = true;
  if (wanted) {
    cameraTried = true;
    await drive("camera");
  } else await stopDriving("camera");
  cameraBusy = false;
}

/** Send the microphone or the webcam to visavis, on this computer. */
async function drive(kind) {
  const problem = problemOf(kind);
  tell(problem, "");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(MEDIA[kind]);
  } catch (error) {
    return tell(problem, whyNoMedia(error, kind === "camera" ? "webcam" : "microphone"));
  }
  driving[kind] = { stream };
  stream.getTracks()[0].onended = () => {
    if (driving[kind]?.stream !== stream) return;
    stopDriving(kind);
    tell(problem, kind === "camera" ? "The webcam has gone. Plug it in, then start again." : "The microphone has gone. Plug it in, then turn it on again.");
  };
  await lend(kind, stream);
}

/** Link a stream to visavis, and again when the link fails: on a computer that slept, or has much too much to do. */
async function lend(kind, stream) {
  const pc = new RTCPeerConnection(); // to this computer: no server, and never a relay
  const wanted = () => driving[kind]?.stream === stream;
  try {
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    const { id, sdp } = await request("POST", "/api/drive", { sdp: pc.localDescription.sdp });
    if (!wanted()) return unlink({ pc, id });
    await pc.setRemoteDescription({ type: "answer", sdp });
    driving[kind] = { pc, id, stream };
    showMicrophone();
    pc.onconnectionstatechange = () => {
      if (pc.connectionState !== "failed" || driving[kind]?.pc !== pc) return;
      unlink({ pc, id });
      lend(kind, stream);
    };
  } catch (error) {
    pc.close();
    if (!wanted()) return;
    await stopDriving(kind);
    tell(problemOf(kind), error.message);
  }
}

async function stopDriving(kind) {
  const { pc, id, stream } = driving[kind];
  driving[kind] = null;
  showMicrophone();
  for (const track of stream.getTracks()) track.stop();
  await unlink({ pc, id });
}

async function unlink({ pc, id }) {
  pc?.close();
  if (id) await request("DELETE", `/api/peers/${id}`).catch(() => {});
}

const problemOf = (kind) => byId(kind === "camera" ? "camera-problem" : "call-problem");

function showMicrophone() {
  const on = Boolean(driving.microphone);
  byId("microphone").setAttribute("aria-pressed", String(on));
  setText(byId("microphone"), on ? "Stop my microphone" : "Use my microphone");
}

// A guest

function ownCaption() {
  const words = [`${byId("guest-name").value.trim()} (you)`];
  if (state.muted) words.push("muted");
  if (!state.camera_on) words.push("picture hidden");
  return words.join(" · ");
}

export function joinAsGuest(refused) {
  const form = byId("join");
  form.hidden = false;
  callState("Not joined");
  byId("guest-name").value = localStorage.getItem("name") ?? "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    const name = byId("guest-name").value.trim();
    if (!name) return byId("guest-name").focus();
    localStorage.setItem("name", name);
    form.hidden = true;
    byId("in-call").hidden = false;
    callState("Asking for the camera");
    mine = await ownMedia();
    const video = make("video", { autoplay: true, muted: true, playsInline: true, srcObject: mine, "aria-label": "Your own picture, mirrored" });
    byId("members").append(make("li", { className: "member mine" }, video, make("p", { id: "own-caption" }, `${name} (you)`)));
    enter({ name, kind: "browser" }, refused);
  };
}

/** Camera and microphone, or what there is of them: one may as well only listen. */
async function ownMedia() {
  const wanted = { audio: true, video: { width: { ideal: 640 }, height: { ideal: 480 } } };
  let why = "";
  for (const kinds of [["audio", "video"], ["audio"], ["video"]]) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(Object.fromEntries(kinds.map((kind) => [kind, wanted[kind]])));
      if (kinds.length === 1) why = `${why} Until then the others ${kinds[0] === "audio" ? "hear you only" : "see you only"}.`;
      tell(byId("call-problem"), why);
      return stream;
    } catch (error) {
      why ||= whyNoMedia(error, "webcam and microphone");
    }
  }
  tell(byId("call-problem"), `${why} Until then you can watch and listen.`);
  return new MediaStream();
}

window.addEventListener("pagehide", () => {
  ended = true;
  socket?.close();
});

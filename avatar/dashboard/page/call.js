// The call: joins the room as the owner or as a guest, and hands what is said there to those whom it concerns. Messages:
// avatar/call/server.py.

import { byId, make, setText, tell, whyNoMedia } from "./dom.js";
import { LentDevice } from "./lent_device.js";
import { Member } from "./member.js";
import { OwnState } from "./own_state.js";
import { preparePaste } from "./paste.js";
import { callState, Room } from "./room.js";
import { request } from "./server.js";
import { Viewers } from "./viewers.js";

const POLL_MS = 3000;

class Call {
  #members = new Map(); // by id: whom this person sees
  #own;
  #viewers = null; // of a guest
  room;

  constructor(hello, over = () => {}) {
    this.room = new Room(hello, { heard: (message) => this.#take(message), lost: () => this.#forgetAll(), over });
    window.addEventListener("online", () => {
      for (const member of this.#members.values()) member.connect();
    });
  }

  /** own: what this person shares. media: a guest's own camera and microphone. */
  enter(own, media = null) {
    this.#own = own;
    if (media) this.#viewers = new Viewers(this.room, media);
    this.room.enter();
  }

  #take(message) {
    const { from, type } = message;
    const member = this.#members.get(from);
    switch (type) {
      case "welcome":
        this.#forgetAll();
        for (const one of message.members) this.#add(one);
        if (this.#viewers) this.room.say({ type: "state", ...this.#own.told });
        break;
      case "joined":
        this.#add(message.member);
        break;
      case "left":
        this.#remove(message.id);
        break;
      case "state":
        if (from === this.room.you || from === "") this.#own.take(message);
        else member?.takeState(message);
        break;
      case "offer":
        if (member) this.#viewers?.answer(message);
        break;
      case "answer":
        member?.takeAnswer(message);
        break;
      case "refuse":
        member?.takeRefusal(message);
        break;
      case "bye":
        this.#viewers?.takeBye(message);
        break;
      case "candidate":
        this.#viewers?.takeCandidate(message);
        member?.takeCandidate(message);
        break;
      case "error":
        tell(byId("call-problem"), message.reason);
        break;
    }
    byId("alone").hidden = this.#members.size > 0;
  }

  #add(told) {
    if (told.id === this.room.you) return;
    this.#remove(told.id);
    this.#members.set(told.id, new Member(told, this.room));
  }

  #remove(id) {
    this.#viewers?.forget(id);
    this.#members.get(id)?.close();
    this.#members.delete(id);
  }

  #forgetAll() {
    for (const id of [...this.#members.keys()]) this.#remove(id);
    this.#viewers?.forgetAll();
  }
}

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

/** Resolves to the webcam, which drives the avatar when the live session wants it. */
export function joinAsOwner() {
  for (const id of ["in-call", "microphone", "paste"]) byId(id).hidden = false;
  const call = new Call({ name: "", kind: "browser" });
  const own = new OwnState(async (wanted) => {
    const now = await request("POST", "/api/state", wanted);
    tell(byId("call-problem"), "");
    return now;
  });
  call.enter(own);
  preparePaste(() => call.room.newConnection());
  lendMicrophone();
  poll(own);
  return new LentDevice({
    name: "webcam",
    constraints: { video: { width: 640, height: 480 } },
    gone: "The webcam has gone. Plug it in, then start again.",
    problem: byId("camera-problem"),
  });
}

async function poll(own) {
  try {
    const now = await request("GET", "/api/state");
    own.take(now);
    byId("invite").hidden = !now.invitation;
    byId("invitation").value = now.invitation;
    byId("connections-details").hidden = now.peers.length === 0;
    byId("connections").replaceChildren(...now.peers.map((peer) => make("li", {}, make("span", {}, peer.kind), make("span", {}, peer.state))));
  } catch {
    // the areas above say that visavis is away
  }
  setTimeout(() => poll(own), POLL_MS);
}

function lendMicrophone() {
  const button = byId("microphone");
  const microphone = new LentDevice({
    name: "microphone",
    constraints: { audio: true },
    gone: "The microphone has gone. Plug it in, then turn it on again.",
    problem: byId("call-problem"),
    changed: () => {
      button.setAttribute("aria-pressed", String(microphone.on));
      setText(button, microphone.on ? "Stop my microphone" : "Use my microphone");
    },
  });
  button.onclick = async () => {
    button.disabled = true;
    if (microphone.on) await microphone.stop();
    else await microphone.start();
    button.disabled = false;
  };
}

// A guest

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
    const call = new Call({ name, kind: "browser" }, refused);
    const own = new OwnState(async (wanted) => {
      call.room.say({ type: "state", ...wanted });
      return wanted;
    });
    const media = await ownMedia();
    const video = make("video", { autoplay: true, muted: true, playsInline: true, srcObject: media, "aria-label": "Your own picture, mirrored" });
    byId("members").append(make("li", { className: "member mine" }, video, make("p", { id: "own-caption" }, `${name} (you)`)));
    own.own(media, name);
    call.enter(own, media);
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

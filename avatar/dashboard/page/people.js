// Who is in the call: hands what is said in the room to those whom it concerns, and says how the call stands.

import { changeOf, wording } from "./call_state.js";
import { byId, setText, tell } from "./dom.js";
import { Member } from "./member.js";
import { Room } from "./room.js";
import { Viewers } from "./viewers.js";

export class People {
  #members = new Map(); // by id: whom this person sees
  #fresh = new Set(); // those of them who have not said yet how they come
  #own = null;
  #viewers = null; // of a guest
  #in = false;
  room;

  /** hello: who this page is. over(why): a guest comes in no more. */
  constructor(hello, over = () => {}) {
    this.room = new Room(hello, {
      heard: (message) => this.#take(message),
      lost: () => {
        this.#in = false;
        this.#forgetAll();
        showCallState("Reconnecting", "bad");
        say("The call was lost. Trying to come back.");
      },
      over: (why) => {
        this.leave();
        over(why);
      },
    });
    window.addEventListener("online", () => {
      for (const member of this.#members.values()) member.connect();
    });
  }

  /** own: what this person shares. stream: a guest's own camera and microphone. Returns who gets that. */
  enter(own, stream = null) {
    this.#own = own;
    if (stream) this.#viewers = new Viewers(this.room, stream);
    showCallState("Connecting");
    this.room.enter();
    return this.#viewers;
  }

  leave() {
    this.#in = false;
    this.room.leave();
    this.#forgetAll();
  }

  /** Say how the call stands; to be called when `own` has changed. */
  show() {
    if (!this.#in) return;
    const others = [...this.#members.values()].map((member) => member.now);
    byId("alone").hidden = others.length > 0;
    showCallState(...wording(this.#own.now, !this.#viewers, others));
  }

  #take(message) {
    const { from, type } = message;
    const member = this.#members.get(from);
    switch (type) {
      case "welcome":
        this.#forgetAll();
        this.#in = true;
        tell(byId("call-problem"), "");
        for (const one of message.members) this.#add(one);
        if (this.#viewers) this.room.say({ type: "state", ...this.#own.now });
        break;
      case "joined":
        this.#add(message.member);
        this.#fresh.add(message.member.id);
        say(`${message.member.name} has joined.`);
        break;
      case "left":
        if (this.#members.has(message.id)) say(`${this.#members.get(message.id).now.name} has left.`);
        this.#remove(message.id);
        break;
      case "state":
        if (from === this.room.you || from === "") this.#own.take(message);
        else if (member) {
          const before = member.now;
          member.takeState(message);
          if (!this.#fresh.delete(from)) say(changeOf(before, member.now));
        }
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
    this.show();
  }

  #add(told) {
    if (told.id === this.room.you) return;
    this.#remove(told.id);
    this.#members.set(told.id, new Member(told, this.room, () => this.show()));
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

export function showCallState(text, mark = "") {
  setText(byId("call-state"), text);
  byId("call-state").className = `pill ${mark}`;
}

/** A line that is read, and spoken by screen readers. */
export function say(text) {
  if (text) setText(byId("call-say"), text);
}

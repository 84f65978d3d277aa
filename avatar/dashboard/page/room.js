// The room's WebSocket: what this page says there and hears, and the way back when it was lost.

import { byId, setText, tell } from "./dom.js";
import { link, openSocket } from "./server.js";

const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export class Room {
  #hello;
  #events;
  #socket = null;
  #tries = 0;
  #ended = false;
  #ice = {};

  /** hello: who this page is. heard(message): for each. lost(): the socket closed. over(why): a guest comes in no more. */
  constructor(hello, { heard, lost, over }) {
    this.you = "";
    this.#hello = hello;
    this.#events = { heard, lost, over };
    window.addEventListener("pagehide", () => {
      this.#ended = true;
      this.#socket?.close();
    });
  }

  enter() {
    callState("Connecting");
    const socket = (this.#socket = openSocket("/room"));
    socket.onopen = () => this.say({ type: "hello", ...this.#hello });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = (event) => this.#comeBack(event);
  }

  say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** By the servers that the room names. */
  newConnection() {
    return new RTCPeerConnection(this.#ice);
  }

  #receive(message) {
    if (message.type === "welcome") {
      this.#tries = 0;
      this.you = message.you;
      this.#ice = message.ice;
      callState("In the call", "on");
      tell(byId("call-problem"), "");
    }
    this.#events.heard(message);
  }

  async #comeBack(event) {
    this.#events.lost();
    if (this.#ended) return;
    callState("Lost the call: trying again", "bad");
    const told = event.code === 1008 && event.reason; // by the room: that it is full, for example
    if (told) tell(byId("call-problem"), told);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)]));
    this.#tries += 1;
    if (this.#tries > RETRY_MS.length && link.role === "guest") {
      callState("Over", "bad");
      const over = "The call is over, or cannot be reached. Ask for a new link, or reload this page to try again.";
      return this.#events.over(told ? `${told} Reload this page to try again.` : over);
    }
    this.enter();
  }
}

export function callState(text, mark = "") {
  setText(byId("call-state"), text);
  byId("call-state").className = `pill ${mark}`;
}

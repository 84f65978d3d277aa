// The room's WebSocket: what this page says there and hears, and the way back when it was lost.

import { link, openSocket, request } from "./server.js";

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const GOING_AWAY = 1001; // the call is over: its host has ended visavis
const REFUSED = 1008; // with the room's reason

export const full = (most) => `The call is full: ${most} people are in it. Try again when somebody has left.`;

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
    window.addEventListener("pagehide", () => this.leave());
  }

  enter() {
    if (this.#ended) return;
    const socket = (this.#socket = openSocket("/room"));
    socket.onopen = () => this.say({ type: "hello", ...this.#hello });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = (event) => this.#comeBack(event);
  }

  /** For good. */
  leave() {
    this.#ended = true;
    this.#socket?.close();
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
    }
    this.#events.heard(message);
  }

  async #comeBack({ code, reason }) {
    if (this.#ended) return;
    this.#events.lost();
    const why = link.role === "guest" && (await this.#whyOver(code, reason));
    if (why) return this.#over(why);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)]));
    this.#tries += 1;
    if (this.#tries > RETRY_MS.length && link.role === "guest") {
      return this.#over("The call cannot be reached. Is your network there? Else its host has gone: ask for a new invitation.");
    }
    this.enter();
  }

  /** Why it makes no sense to come back; "" where it may. */
  async #whyOver(code, reason) {
    if (code === GOING_AWAY && reason) return "The host has ended the call.";
    try {
      const { people, most } = await request("GET", "/api/invitation");
      if (code !== REFUSED) return "";
      return people >= most ? full(most) : reason;
    } catch (error) {
      return error.status === 401 || error.status === 403 ? "This invitation has ended. Ask the host for a new one." : "";
    }
  }

  #over(why) {
    this.#ended = true;
    this.#events.over(why);
  }
}

// The page's start: who opened it, and the news from visavis.

import { showAvatars } from "./avatars.js";
import { joinAsGuest, joinAsOwner } from "./call.js";
import { byId, setText } from "./dom.js";
import { showEnrolment, openEnrolment } from "./enrol.js";
import { connectionLost, loadChoices, pictureArrived, pictureWanted, secondArrived, showLive } from "./live.js";
import { link, openSocket, request } from "./server.js";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;

function showAreas(...names) {
  for (const name of ["gone", "avatars", "live", "call"]) byId(name).hidden = !names.includes(name);
  byId("areas").hidden = names.length < 2;
}

function connection(text, bad = false) {
  setText(byId("connection"), text);
  byId("connection").classList.toggle("bad", bad);
}

function refused(why) {
  byId("main").dataset.role = "none";
  showAreas("gone");
  setText(byId("gone-why"), why);
  connection("");
}

for (const button of document.querySelectorAll("#areas button")) {
  button.onclick = () => {
    byId(button.dataset.area).scrollIntoView();
    byId(`${button.dataset.area}-title`).focus({ preventScroll: true });
  };
}

/** Keeps the socket for news open; a picture is asked for whenever the last one was painted and somebody looks. */
function listen(webcam, retryMs = FIRST_RETRY_MS) {
  const socket = openSocket("/api/dashboard/events");
  let opened = false;
  const askForPicture = () => socket.readyState === WebSocket.OPEN && socket.send("frame");
  socket.onopen = () => {
    opened = true;
    connection("Connected");
    pictureWanted(askForPicture);
  };
  socket.onmessage = async ({ data }) => {
    if (data instanceof Blob) return pictureArrived(data);
    const message = JSON.parse(data);
    if (message.type === "second") return secondArrived(message.figures);
    showAvatars(message.avatars, message.live);
    showEnrolment(message.enrolment);
    showLive(message.live, message.avatars);
    webcam.want(message.live.state === "running" && message.live.wish.camera === "browser");
  };
  socket.onclose = async () => {
    if (opened) connectionLost();
    if (opened || !byId("connection").classList.contains("bad")) connection("Lost visavis: trying again", true);
    const wait = opened ? FIRST_RETRY_MS : Math.min(2 * retryMs, LAST_RETRY_MS);
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      await request("GET", "/api/dashboard");
      if (!opened) connection("This page is open in too many windows: close some", true);
    } catch (error) {
      if (error.status === 401 || error.status === 403) return refused(error.message);
      connection("Lost visavis: trying again", true);
    }
    listen(webcam, wait);
  };
}

async function startAsOwner() {
  try {
    await request("GET", "/api/dashboard");
  } catch (error) {
    return refused(error.message);
  }
  byId("main").dataset.role = "owner";
  showAreas("avatars", "live", "call");
  byId("new-avatar").onclick = openEnrolment;
  await loadChoices();
  listen(joinAsOwner());
}

if (link.role === "owner") {
  startAsOwner();
} else if (link.role === "guest") {
  byId("main").dataset.role = "guest";
  showAreas("call");
  joinAsGuest(refused);
} else {
  refused("The address lacks its end, which lets you in. Open the whole link: visavis prints it when it starts.");
}

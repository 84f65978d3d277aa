// The page's start: who opened it, and the news from visavis.

import { avatarsArrived, chosenAvatar } from "./avatars.js";
import { joinAsGuest, joinAsOwner } from "./call.js";
import { loadChoices } from "./choices.js";
import { byId, setText } from "./dom.js";
import { openEnrolment, showEnrolment } from "./enrol.js";
import { secondArrived } from "./figures.js";
import { fineTuningArrived } from "./finetuning.js";
import { label } from "./label.js";
import "./look.js";
import { pointsArrived, pointsWanted } from "./points.js";
import "./recording.js";
import { live, runArrived, runLost, start } from "./run.js";
import { secondSeen } from "./say.js";
import { link, openSocket, request } from "./server.js";
import { pictureArrived, pictureWanted } from "./stage.js";
import "./tools.js";
import "./use_in.js";
import { openStudio } from "./views.js";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;

/** Said where it is not as it should be. */
function connection(text) {
  setText(byId("connection"), text);
}

function refused(why) {
  byId("main").dataset.role = "none";
  for (const id of ["ways", "live", "avatars", "look", "call"]) byId(id).hidden = true;
  byId("gone").hidden = false;
  setText(byId("gone-why"), why);
  connection("");
}

/** Keeps the socket for news open; a picture is asked for whenever the last one was painted and somebody looks. */
function listen(retryMs = FIRST_RETRY_MS) {
  const socket = openSocket("/api/dashboard/events");
  let opened = false;
  const askFor = (what) => () => socket.readyState === WebSocket.OPEN && socket.send(what);
  socket.onopen = () => {
    opened = true;
    connection("");
    pictureWanted(askFor("frame"));
    pointsWanted(askFor("points"));
  };
  socket.onmessage = ({ data }) => (data instanceof Blob ? pictureArrived(data) : take(JSON.parse(data)));
  socket.onclose = async () => {
    const wait = opened ? FIRST_RETRY_MS : Math.min(2 * retryMs, LAST_RETRY_MS);
    await new Promise((resolve) => {
      runLost(resolve);
      setTimeout(resolve, wait);
    });
    try {
      await request("GET", "/api/dashboard");
      if (!opened) connection("This page is open in too many windows: close some");
    } catch (error) {
      if (error.status === 401 || error.status === 403) return refused(error.message);
      connection("");
    }
    listen(wait);
  };
}

let first = true; // of the reports

function take(message) {
  if (message.type === "points") return pointsArrived(message.points);
  if (message.type === "second") {
    secondArrived(message.figures);
    return secondSeen(message.figures);
  }
  avatarsArrived(message.avatars);
  runArrived(message.live);
  showEnrolment(message.enrolment);
  fineTuningArrived(message.finetuning);
  if (first && live.state === "off" && !live.problem && chosenAvatar()) start(chosenAvatar(), label()); // alive by itself
  first = false;
}

async function startAsOwner() {
  let now;
  try {
    now = await request("GET", "/api/dashboard");
  } catch (error) {
    return refused(error.message);
  }
  byId("main").dataset.role = "owner";
  byId("new-avatar").onclick = openEnrolment;
  openStudio();
  take(now);
  listen();
  joinAsOwner();
  await loadChoices();
}

if (link.role === "owner") {
  startAsOwner();
} else if (link.role === "guest") {
  byId("main").dataset.role = "guest";
  byId("call").hidden = false;
  joinAsGuest(refused);
} else {
  refused("The address lacks its end, which lets you in. Open the whole link: visavis prints it when it starts.");
}

// Where this computer has no virtual camera yet: what is missing, and the button that installs it.

import { APPS } from "./apps.js";
import { make, setText, tell } from "./dom.js";
import { request } from "./server.js";

const ROUTE = "/api/dashboard/virtual-camera";

/** Fills `place`, anew at each call. `lookAgain()` is called once there is a camera that every program sees. */
export async function offerCamera(place, lookAgain) {
  place.classList.add("setup");
  place.replaceChildren(make("p", { className: "note", role: "status" }, "Looking for a virtual camera"));
  try {
    show(place, await request("GET", ROUTE), lookAgain);
  } catch (error) {
    place.replaceChildren(make("p", { className: "notice bad", role: "alert" }, error.message));
  }
}

function show(place, found, lookAgain) {
  if (found.kind === "v4l2loopback") {
    place.replaceChildren();
    return lookAgain();
  }
  const parts = [make("p", {}, found.missing)];
  if (found.asks.length && !found.problem) parts.push(...asking(place, found, lookAgain));
  else parts.push(...copying(place, found, lookAgain));
  if (found.kind === "pipewire") parts.push(pipewire());
  place.replaceChildren(...parts);
}

/** What will be run, and the button for it. */
function asking(place, found, lookAgain) {
  const install = make("button", { type: "button", className: "primary" }, "Install it");
  const status = make("p", { className: "note", role: "status" });
  const problem = make("p", { className: "notice bad", role: "alert", hidden: true });
  const byHand = make("div", { className: "setup", hidden: true }, ...copying(place, found, lookAgain));
  const busy = (is) => {
    install.disabled = is;
    setText(status, is ? "A window may ask for your password. It takes from seconds to a few minutes." : "");
  };
  install.onclick = async () => {
    tell(problem, "");
    busy(true);
    try {
      show(place, await request("POST", ROUTE, { run: found.asks.map((step) => step.run) }), lookAgain);
    } catch (error) {
      tell(problem, error.message);
      byHand.hidden = false;
    }
    busy(false);
  };
  busy(found.working);
  return [
    make("p", {}, "This will be run once you press. Your computer asks for the password before the administrator runs anything."),
    make("ol", { className: "setup-steps" }, ...found.asks.map(({ run, why, root }) => make("li", {}, make("code", {}, run), make("span", {}, `${why}${root ? " (as administrator)" : ""}`)))),
    install,
    status,
    problem,
    byHand,
  ];
}

/** The commands for a terminal, and the way on after them. */
function copying(place, found, lookAgain) {
  const text = found.copy.join("\n");
  const copy = make("button", { type: "button" }, "Copy");
  const commands = make("pre", { tabIndex: 0 }, text);
  copy.onclick = async () => {
    getSelection().selectAllChildren(commands);
    const copied = await navigator.clipboard.writeText(text).then(() => true, () => false);
    setText(copy, copied ? "Copied" : "Press Ctrl+C");
    setTimeout(() => setText(copy, "Copy"), 2000);
  };
  const again = make("button", { type: "button" }, "I have done that");
  again.onclick = () => offerCamera(place, lookAgain);
  return [
    make("p", {}, [found.problem, "Run this in a terminal:"].filter(Boolean).join(" ")),
    commands,
    make("div", { className: "row" }, copy, again),
  ];
}

function pipewire() {
  const programs = new Map(); // names by what they need
  for (const { name, pipewire: how } of APPS) programs.set(how, [...(programs.get(how) ?? []), name]);
  const others = programs.get("");
  programs.delete("");
  return make(
    "details",
    { className: "setup-pipewire" },
    make("summary", {}, "Without installing anything"),
    make("p", { className: "note" }, `PipeWire’s camera suffices for these programs; ${others.join(" and ")} cannot see it.`),
    make("dl", {}, ...[...programs].flatMap(([how, names]) => [make("dt", {}, names.join(", ")), make("dd", {}, how)])),
  );
}

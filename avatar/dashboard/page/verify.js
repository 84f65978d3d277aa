// Does a file carry the mark? It goes to visavis on this computer, and to nobody else.

import { byId, make, setText, takeFiles, tell } from "./dom.js";
import { link, upload } from "./server.js";

const MOST_BYTES = 2 * 1024 ** 3; // as in verify_page.py: an upload that is refused half way ends without a reason
const LINK_NEEDED = "This link is not whole. Open the one that visavis printed.";

let looking = false;

async function look(file) {
  if (looking || !file) return;
  looking = true;
  clear();
  try {
    if (file.size > MOST_BYTES) throw new Error(`${file.name} has more than 2048 MB. Cut out some seconds of it: five are enough.`);
    sent(0);
    const path = `/api/verify?name=${encodeURIComponent(file.name)}`;
    const said = await upload(path, file, sent, ({ share }) => share !== undefined && show("Looking for the mark", share || undefined));
    if (said.error) throw new Error(said.error.includes(file.name) ? said.error : `${file.name}: ${said.error}`);
    answer(file.name, said);
  } catch (error) {
    tell(byId("problem"), error.message);
  } finally {
    byId("looking").hidden = true;
    looking = false;
  }
}

const sent = (share) => (share < 1 ? show("Reading the file", share) : show("Looking for the mark"));

/** Which step it is, is said once; how far it is, the bar tells, where that is known. */
function show(step, share) {
  byId("looking").hidden = false;
  setText(byId("step"), step);
  if (share === undefined) byId("share").removeAttribute("value");
  else byId("share").value = share;
}

function answer(name, { words: [first, ...more], notes, found }) {
  tell(byId("answer-file"), name);
  byId("answer-first").classList.toggle("marked", found.marked ?? found.confirmed);
  tell(byId("answer-first"), first);
  const deleted = "The file that was sent here has been deleted.";
  byId("answer-more").replaceChildren(...[...more, ...notes, deleted].map((text) => make("li", { className: "note" }, text)));
}

function clear() {
  for (const id of ["answer-file", "answer-first", "problem"]) tell(byId(id), "");
  byId("answer-more").replaceChildren();
}

// anywhere on the page: a file that falls beside the box must not replace it
takeFiles({ input: byId("file"), area: window, box: byId("drop") }, ([file]) => look(file));
if (link.role !== "owner") tell(byId("problem"), LINK_NEEDED);
